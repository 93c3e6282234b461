"""PNG: what a file itself says is broken, and what Pillow leaves out."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = {b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"}
CODES = "codes"  # the key, in the info of an image, of its primaries and transfer by H.273
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the type of colour
PASSES = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
EXIF_TEXT = "Raw profile type exif"  # in which ImageMagick keeps the block, after three lines
INFLATED = 1 << 20  # bytes at a time
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


def find_exif(data: bytes, info: Mapping[Any, Any]) -> bytes:
    """Return the EXIF block of a PNG file as JPEG has it, nothing where it has none.

    It is a chunk, or a text among the `info` of the opened picture.
    """
    found = next((chunk for kind, chunk in _chunks(data) if kind == b"eXIf"), None)
    if found is not None:
        return b"Exif\0\0" + found[8:-4]
    try:
        return bytes.fromhex("".join(str(info.get(EXIF_TEXT, "")).split("\n")[3:]))
    except ValueError:
        return b""


def add_details(image: Image.Image, data: bytes) -> None:
    """Add the code points of a PNG to its info, and bring its transparent tone to 8 bits."""
    before = takewhile(lambda found: found[0] != b"IDAT", _chunks(data))
    codes = next((chunk[8:-4] for kind, chunk in before if kind == b"cICP"), b"")
    if len(codes) >= 2:
        image.info[CODES] = (codes[0], codes[1])
    tone, bits = image.info.get("transparency"), data[24]
    if image.mode in ("1", "L") and isinstance(tone, int) and bits < 8:
        image.info["transparency"] = tone * 255 // (2**bits - 1)


def is_cut_short(image: Image.Image, data: bytes) -> bool:
    """Whether a PNG file holds fewer pixels than it says; those of the loaded image are black.

    Decompressing takes a while, and is done for pictures alone that end in black.
    """
    end = image.crop((0, max(0, image.height - 2), image.width, image.height))
    lowest = [end.crop((0, row, end.width, row + 1)).getextrema() for row in range(end.height)]
    if all(_most(extrema) > 0 for extrema in lowest):
        return False
    missing = _bytes_of_pixels(data)
    inflate = zlib.decompressobj()
    for kind, chunk in _chunks(data):
        rest = chunk[8:-4] if kind == b"IDAT" else b""
        while rest and not inflate.eof and missing > 0:
            missing -= len(inflate.decompress(rest, INFLATED))
            rest = inflate.unconsumed_tail
    while missing > 0 and (more := inflate.decompress(inflate.unconsumed_tail, INFLATED)):
        missing -= len(more)
    return missing > 0


def _most(extrema: tuple[float, float] | tuple[tuple[int, int], ...]) -> float:
    return max(high for _, high in (extrema if isinstance(extrema[0], tuple) else (extrema,)))


def _bytes_of_pixels(data: bytes) -> int:
    """Return how many bytes the pixels of a PNG file are, with the filters of their rows."""
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    bits = depth * CHANNELS[colour]
    total = 0
    for x, y, across, down in PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - x) // across), -(-(height - y) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total


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
