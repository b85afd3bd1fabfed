"""doorkeeper: says who may pass the gateway, and words the errors that the gateway makes."""
