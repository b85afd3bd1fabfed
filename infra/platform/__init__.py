"""What every cluster gets: the Pulumi project `modelyard`. One component per file."""
