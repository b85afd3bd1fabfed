"""Backups of an environment: a folder each, with a manifest and nothing that is not encrypted."""
