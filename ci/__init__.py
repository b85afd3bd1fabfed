"""Everything that continuous integration runs, and a laptop too."""
