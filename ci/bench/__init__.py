"""`yard bench`: how fast a model is served, beside its peers. docs/benchmarks.md has the method."""
