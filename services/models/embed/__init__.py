"""Embed: sentences as vectors, near each other where they mean alike (all-MiniLM-L6-v2)."""
