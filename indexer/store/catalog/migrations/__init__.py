"""Alembic migrations of the catalogue, numbered from the first schema on."""
