"""Stand-ins for Pulumi plugins that no package registry carries (see README.md)."""
