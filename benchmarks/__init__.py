"""Scripts that print every figure the documentation quotes."""
