"""A query in, ranked hits out."""
