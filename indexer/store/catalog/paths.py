"""Paths as the catalogue stores them: text, whatever bytes a file name has."""

from __future__ import annotations

PRIVATE_USE = 0x10FF00  # where bytes that are not UTF-8 are kept
_BYTES = range(0x80, 0x100)
_TO_PRIVATE = {0xDC00 + byte: chr(PRIVATE_USE + byte) for byte in _BYTES}
_FROM_PRIVATE = {PRIVATE_USE + byte: 0xDC00 + byte for byte in _BYTES}
# Names that have these characters themselves are kept as the bytes of their UTF-8.
_TO_PRIVATE |= {
    private: "".join(_TO_PRIVATE[0xDC00 + byte] for byte in chr(private).encode())
    for private in _FROM_PRIVATE
}


def to_stored(path: str) -> str:
    """Return a path as a database can store it, also where the file name is not valid UTF-8.

    Python represents such bytes as lone surrogates; they are moved to the last block of the
    private use area.
    """
    return path if path.isascii() else path.translate(_TO_PRIVATE)


def from_stored(path: str) -> str:
    """Return the path that `to_stored` was given."""
    if path.isascii():
        return path
    name = path.translate(_FROM_PRIVATE).encode("utf-8", "surrogateescape")
    return name.decode("utf-8", "surrogateescape")
