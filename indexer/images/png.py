"""PNG checksums: what a file itself says is broken."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"}
NAMES = {b"iCCP": "colour profile", b"eXIf": "EXIF block"}  # of chunks that do without pixels


class DamagedPngError(ValueError):
    """The checksum of a chunk with pixel data is wrong."""


def check_png(data: bytes) -> tuple[bytes, list[str]]:
    """Return a PNG file without the chunks that are damaged, and what was left out.

    Raises `DamagedPngError` where a chunk that the pixels need is damaged.
    """
    kept = [SIGNATURE]
    left_out: list[str] = []
    for kind, chunk in _chunks(data):
        if zlib.crc32(chunk[4:-4]) == struct.unpack(">I", chunk[-4:])[0]:
            kept.append(chunk)
        elif kind in PIXELS:
            raise DamagedPngError(f"is damaged (the checksum of {kind.decode()} is wrong)")
        else:
            left_out.append(NAMES.get(kind, f"{kind.decode('ascii', 'replace')} chunk"))
    return (b"".join(kept), left_out) if left_out else (data, left_out)


def find_exif(data: bytes) -> bytes:
    """Return the EXIF block of a PNG file as JPEG has it, nothing where it has none."""
    found = next((chunk for kind, chunk in _chunks(data) if kind == b"eXIf"), None)
    return b"" if found is None else b"Exif\0\0" + found[8:-4]


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and all bytes of each complete chunk; what is cut off is not looked at."""
    start = len(SIGNATURE)
    while start + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        stop = start + 12 + length
        if stop > len(data):
            return
        yield kind, data[start:stop]
        if kind == b"IEND":
            return
        start = stop
