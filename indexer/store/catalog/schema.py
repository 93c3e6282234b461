"""The versions of the catalogue's schema."""

# In order; the last one is what this version of cbir reads and writes.
SCHEMA_VERSIONS = tuple(f"{number:04}" for number in range(1, 12))
