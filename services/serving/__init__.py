"""What every model service shares: the hot route, its checks, error bodies, metrics and documents."""
