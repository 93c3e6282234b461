"""Image files: found, decoded, described by their own metadata, resized."""
