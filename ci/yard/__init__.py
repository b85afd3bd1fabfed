"""The command `yard`: order, progress, verdicts."""
