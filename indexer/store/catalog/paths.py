"""Paths as the catalogue stores them: text, whatever bytes a file name has."""

from __future__ import annotations

PRIVATE_USE = 0x10FF00  # where bytes that are not UTF-8 are kept
TO_PRIVATE = {0xDC00 + byte: PRIVATE_USE + byte for byte in range(0x80, 0x100)}
FROM_PRIVATE = {private: surrogate for surrogate, private in TO_PRIVATE.items()}


def to_stored(path: str) -> str:
    """Return a path as a database can store it, also where the file name is not valid UTF-8.

    Python represents such bytes as lone surrogates; they are moved to the last block of the
    private use area.
    """
    return path if path.isascii() else path.translate(TO_PRIVATE)


def from_stored(path: str) -> str:
    """Return the path that `to_stored` was given."""
    return path if path.isascii() else path.translate(FROM_PRIVATE)
