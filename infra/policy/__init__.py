"""The rules that previews, `up` and the cluster's admission enforce."""
