"""The catalogue: the only truth about what exists in a store."""
