"""Vectors of a store: segments on disk, and the nearest of them."""
