"""Pixels in, L2-normalised vectors out."""
