"""A stand-in for `pulumi-resource-kubernetes`: typed resources and CustomResource, nothing else."""
