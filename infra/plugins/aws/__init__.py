"""A stand-in for the AWS provider that calls nothing: previews where there are no credentials."""
