"""XMP: dates and cameras of pictures that have no EXIF block, or an incomplete one."""

from __future__ import annotations

import html
import re
from typing import IO

DATES = (
    "exif:DateTimeOriginal",
    "photoshop:DateCreated",
    "exif:DateTimeDigitized",
    "xmp:CreateDate",
)
MAKE, MODEL = "tiff:Make", "tiff:Model"
LONGEST = 1 << 20  # bytes of XMP that are looked at
EXIF_BOX = b"JpgTiffExif->JP2"  # the names of boxes of JPEG 2000
XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
MOST_BOXES = 1000


def read_xmp(packet: bytes | str, field: str) -> str | None:
    """Return the text of a field of XMP, an attribute or an element; None where there is none."""
    text = packet if isinstance(packet, str) else packet[:LONGEST].decode("utf-8", "replace")
    name = re.escape(field)
    found = re.search(rf"""\s{name}\s*=\s*(?:"([^"]*)"|'([^']*)')|<{name}>([^<]*)<""", text)
    return (
        html.unescape(next(part for part in found.groups() if part is not None)) if found else None
    )


def find_boxes(file: IO[bytes]) -> dict[bytes, bytes]:
    """Return the boxes of a JPEG 2000 file that have a name of their own, by that."""
    place = file.tell()
    size = file.seek(0, 2)
    found: dict[bytes, bytes] = {}
    start = 0
    for _ in range(MOST_BOXES):
        file.seek(start)
        header = file.read(32)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        body = start + 8
        if length == 1:
            length, body = int.from_bytes(header[8:16], "big"), start + 16
        end = size if length == 0 else start + length
        if end <= body or end > size:
            break
        if kind == b"uuid" and end - body <= LONGEST:
            file.seek(body)
            content = file.read(end - body)
            found[content[:16]] = content[16:]
        start = end
    file.seek(place)
    return found
