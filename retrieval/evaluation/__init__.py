"""Measuring retrieval against labelled collections."""
