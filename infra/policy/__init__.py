"""The rules that previews, `up` and the cluster's admission enforce."""

PROJECT = "MODELYARD_PROJECT"
"""Variable with the name of the project that runs, which the engine does not tell a pack in time.

Without it, as when `pulumi` is typed, the pack has the rules of all projects.
"""
