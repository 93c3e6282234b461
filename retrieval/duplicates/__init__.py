"""Duplicates: images of a store that are the same picture, or parts of one another."""
