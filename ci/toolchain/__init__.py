"""Every external tool, pinned once, built or fetched, and kept by content."""
