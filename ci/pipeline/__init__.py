"""The steps of the pipeline: each does one thing and reports what it does."""
