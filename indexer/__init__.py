"""Photos in, a store of deep features out."""
