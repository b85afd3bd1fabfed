"""modelyard's infrastructure: the environment, its contract, and the Pulumi programs."""
