"""Exports: a store's metadata and vectors in folders that other programs read, and back."""
