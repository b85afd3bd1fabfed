"""The Pulumi project ``modelyard-models``: one ModelService per release, and nothing else."""
