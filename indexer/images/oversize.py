"""Oversize pictures: JPEG and JPEG 2000, decoded at a fraction of their size."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import IO

from PIL import ImageFile

from indexer.images.deep import is_deep
from indexer.images.request import ImageRequest

Size = tuple[int, int]

JPEG_SHARES = (1, 2, 4, 8)  # of libjpeg: one pixel for as many in a row
CODESTREAM = b"\xff\x4f\xff\x51"  # how that of JPEG 2000 begins
HEADER = 4 << 20  # bytes in which it begins: a colour profile may come before
CODING, COMPONENT_CODING, TILE = 0xFF52, 0xFF53, 0xFF90  # its markers
MANY_COMPONENTS = 257  # from which on a component has a number of two bytes


def reduce_size(image: ImageFile.ImageFile, request: ImageRequest) -> None:
    """Have an opened JPEG or JPEG 2000 decoded with no more pixels than the request allows.

    Raises `ImageTooLargeError` where its kind does not allow that.
    """
    if image.format in ("JPEG", "MPO"):
        _reduce_jpeg(image, request)
    else:
        _reduce_jpeg2000(image, request)


def _reduce_jpeg(image: ImageFile.ImageFile, request: ImageRequest) -> None:
    width, height = image.size
    if image.info.get("progressive"):  # libjpeg holds all of its coefficients
        raise request.too_large(width, height, because="it is a progressive JPEG")
    sizes = [(-(-width // share), -(-height // share)) for share in JPEG_SHARES]
    share = JPEG_SHARES[_choose_size(sizes, (width, height), request)]
    image.draft(None, (max(1, width // share), max(1, height // share)))
    if image.width * image.height > request.max_pixels:
        raise request.too_large(width, height, because="it is an unusual JPEG")


def _reduce_jpeg2000(image: ImageFile.ImageFile, request: ImageRequest) -> None:
    width, height = image.size
    if is_deep(image) and len(image.getbands()) > 1:  # Pillow would cut its values to 8 bits
        because = "it is a JPEG 2000 with colours of more than 8 bits, or with other channels"
        raise request.too_large(width, height, because=because)
    if image.fp is None:
        raise ValueError("its file is closed")
    corners, levels = read_jpeg2000_header(image.fp)
    (x0, y0), (x1, y1) = corners
    sizes = [(-(-x1 >> n) + (-x0 >> n), -(-y1 >> n) + (-y0 >> n)) for n in range(levels + 1)]
    level = _choose_size(sizes, (width, height), request)
    # `image.reduce` rounds where the decoder rounds up, and then it refuses the sizes.
    [tile] = image.tile
    args = tile.args
    if not isinstance(args, tuple):
        raise ValueError("unknown arguments of the decoder")
    image._size = sizes[level]
    parameters = (args[0], level, *args[2:])
    image.tile = [tile._replace(extents=(0, 0, *sizes[level]), args=parameters)]


def _choose_size(sizes: Sequence[Size], whole: Size, request: ImageRequest) -> int:
    """Return the place of the size to decode at, of some in falling order.

    That is the smallest one which suffices, or else the largest that the limit allows.
    """
    areas = [width * height for width, height in sizes]
    allowed = [i for i, area in enumerate(areas) if area <= request.max_pixels]
    if not allowed:
        least = " × ".join(map(str, sizes[-1]))
        raise request.too_large(*whole, because=f"it has at least {least} pixels")
    enough = request.enough(*whole)
    return max((i for i in allowed if areas[i] >= enough), default=allowed[0])


def read_jpeg2000_header(file: IO[bytes]) -> tuple[tuple[Size, Size], int]:
    """Return the corners of a JPEG 2000 picture on its canvas, and how often it can be halved.

    Raises `ValueError` where the file does not say.
    """
    place = file.tell()
    file.seek(0)
    data = file.read(HEADER)
    file.seek(place)
    start = data.find(CODESTREAM)
    if start < 0:
        raise ValueError("no JPEG 2000 codestream")
    x1, y1, x0, y0 = struct.unpack_from(">4I", data, start + 8)
    [components] = struct.unpack_from(">H", data, start + 40)
    levels = []
    at = start + 2
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker == TILE:
            break
        if marker == CODING:
            levels.append(data[at + 9])
        elif marker == COMPONENT_CODING:
            levels.append(data[at + (6 if components < MANY_COMPONENTS else 7)])
        at += 2 + max(2, length)
    if not levels:
        raise ValueError("a JPEG 2000 codestream without coding style")
    return ((x0, y0), (x1, y1)), min(levels)
