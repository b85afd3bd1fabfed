"""Models: one folder each, made by the same protocol."""
