"""The versions of the catalogue's schema."""

# In order; the last one is what this version of cbir reads and writes.
SCHEMA_VERSIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010")
