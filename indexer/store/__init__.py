"""Vectors and metadata on disk."""
