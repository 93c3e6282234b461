"""JPEG: the common kind, decoded by libjpeg-turbo, which says what is damaged."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable
from typing import IO

import simplejpeg
from PIL import ExifTags, Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from indexer.arrays import Pixels
from indexer.images.upright import turn_upright

MANY_SCANS = 32  # a usual progressive JPEG has about ten
MOST_SCANS = 500  # each is a pass over the whole picture; the fuzzers of libjpeg-turbo stop here
SCAN, END = 0xDA, 0xD9  # markers
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")  # in the data of a scan, the next other one
LARGEST_JPEG = 64 << 20  # bytes held at once; Pillow streams larger files
CORRUPT = "Corrupt JPEG data: "  # begins most warnings of libjpeg
HARMLESS = "extraneous bytes"  # between the parts of a picture that is whole


def has_many_scans(image: ImageFile.ImageFile) -> bool:
    """Whether an opened image may be a JPEG that takes long, or is too large to look at."""
    if not isinstance(image, JpegImageFile) or not image.fp:
        return False
    data = _read(image.fp)
    return data is None or data.count(b"\xff\xda") > MANY_SCANS


def check_scans(image: ImageFile.ImageFile) -> None:
    """Raise `ValueError` for an opened JPEG of so many scans that it would take minutes."""
    if image.fp and has_many_scans(image):
        count = count_scans(image.fp)
        if count > MOST_SCANS:
            raise ValueError(f"it has over {MOST_SCANS} scans; save it again as a usual JPEG")


def count_scans(file: IO[bytes]) -> int:
    """Return how many scans a JPEG has; no more are counted than are too many."""
    place = file.tell()
    file.seek(0)
    try:
        data: bytes | mmap.mmap
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # no file on a disk
            data = file.read()
        return _count_scans(data)
    finally:
        file.seek(place)


def _count_scans(data: bytes | mmap.mmap) -> int:
    count, at = 0, 2
    while count <= MOST_SCANS:
        marker = _MARKER.search(data, at)
        if marker is None or marker[1][0] == END:
            break
        count += marker[1][0] == SCAN
        start = marker.end()
        at = start + int.from_bytes(data[start : start + 2], "big")
    return count


def _read(file: IO[bytes]) -> bytes | None:
    """Return all bytes of a file, None where they are too many."""
    place = file.tell()
    try:
        if file.seek(0, os.SEEK_END) > LARGEST_JPEG:
            return None  # a film or a backup may be appended to it
        file.seek(0)
        return file.read()
    finally:
        file.seek(place)


def decode_jpeg(image: Image.Image, note_damage: Callable[[str], None]) -> Pixels | None:
    """Return the upright RGB pixels (H, W, 3) of a common JPEG at the size of its draft.

    None for anything else, and for any oddity in the file, which is Pillow's to judge. Both use
    libjpeg-turbo and give the same pixels; Pillow takes half as long again to hand them out, and
    keeps the library's warnings to itself. Pixels that those call damaged are given to
    `note_damage`, which may refuse them.
    """
    if not isinstance(image, JpegImageFile) or image.mode not in ("RGB", "L") or not image.fp:
        return None
    data = _read(image.fp)
    if data is None:
        return None
    width, height = image.size
    size = {"min_height": height, "min_width": width}
    try:
        if simplejpeg.decode_jpeg_header(data, height, width)[:2] != (height, width):
            return None
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", **size)
    except ValueError as error:
        damage = _damage(str(error))
        if damage is None:
            return None
        note_damage(damage)
        pixels = simplejpeg.decode_jpeg(data, "RGB", strict=False, **size)
    upright: Pixels = turn_upright(pixels, image.getexif().get(ExifTags.Base.Orientation))
    return upright


def _damage(message: str) -> str | None:
    """Return what a message of libjpeg says about damaged pixels, None where it does not."""
    if message.startswith("Premature end"):
        return "is truncated"
    if message.startswith(CORRUPT) and HARMLESS not in message:
        return f"is damaged ({message.removeprefix(CORRUPT)})"
    return None
