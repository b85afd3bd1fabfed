"""The AWS account under a cluster: network, EKS, pools, registries, databases, budgets, roles."""
