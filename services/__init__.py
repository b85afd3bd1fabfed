"""Models and platform services."""
