"""Large TIFFs: read at a smaller size, a tile or some rows of a strip at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from indexer.images.block_means import BlockMeans
from indexer.images.deep import SEPARATE
from indexer.images.facts import TURNED
from indexer.images.needs import bytes_of_page
from indexer.images.request import ImageRequest
from indexer.images.tiff_page import no_data_of, obstacle, prepare, read_page, to_picture
from indexer.images.tones import Values
from indexer.images.upright import turn_upright

UNCOMPRESSED = 1
REDUCED = 1  # a bit of the tag that says what a page is for
SEGMENT_PIXELS = 1 << 24  # of the largest tile or strip that is decoded whatever the limit
PIECE_PIXELS = 1 << 20  # averaged at a time
READ_BYTES = 4 << 20  # compressed tiles read at a time
LEVEL = 4  # a smaller copy with a share of the pixels wanted is good enough
ROUNDING_PX = 2  # by which the sides of smaller copies differ from exact shares


def read_within(
    file: Any, page: Any, orientation: object, request: ImageRequest, number: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """Return a page of an open TIFF, upright and in 8 bits, and its own (width, height).

    It has no more pixels than allowed, which are averages where there are too many. Where the file
    has smaller copies of the page, the one that suffices is read: those below the page, and those
    right after it where it is the page of this `number`.

    Raises `ImageTooLargeError` where that would take too much memory, or the kind of picture is
    not supported.
    """
    width, height = page.imagewidth, page.imagelength
    must_reduce = request.must_reduce(width, height, "TIFF")
    request.reserve(bytes_of_page(page, request))
    if must_reduce:
        image = _read_reduced(file, page, orientation, request, number)
    else:
        image = read_page(page, orientation)
    return image, (height, width) if orientation in TURNED else (width, height)


def _read_reduced(
    file: Any, page: Any, orientation: object, request: ImageRequest, number: int | None
) -> Image.Image:
    size = page.imagewidth, page.imagelength
    copies = [copy for copy in _copies(file, page, number) if not _obstacle(copy, request)]
    level = _choose_level(page, copies, request)
    because = _obstacle(level, request)
    if because:
        raise request.too_large(*size, because=because)
    try:
        values = _read_level(level, request, request.enough(*size))
    except (ImportError, NotImplementedError) as error:  # tifffile: a codec that is not here
        raise request.too_large(*size, because=str(error)) from error
    return to_picture(level, turn_upright(values, orientation))


def _copies(file: Any, page: Any, number: int | None) -> Iterator[Any]:
    """Yield the smaller copies of a page that a TIFF has."""
    candidates = list(page.pages or ())
    for other in file.pages[number + 1 :] if number is not None else ():
        if not other.subfiletype & REDUCED:
            break
        candidates.append(other)
    for other in candidates:
        width = page.imagewidth * other.imagelength / page.imagelength
        is_smaller = other.imagelength < page.imagelength
        is_alike = (other.samplesperpixel, other.dtype) == (page.samplesperpixel, page.dtype)
        if is_smaller and is_alike and abs(width - other.imagewidth) <= ROUNDING_PX:
            yield other


def _choose_level(page: Any, copies: list[Any], request: ImageRequest) -> Any:
    """Return the smallest of a page and its copies that has enough pixels."""
    enough = request.enough(page.imagewidth, page.imagelength)
    least = enough if enough <= request.max_pixels else request.max_pixels / LEVEL
    suitable = [copy for copy in copies if copy.imagewidth * copy.imagelength >= least]
    return min(suitable, key=lambda copy: copy.imagewidth * copy.imagelength, default=page)


def _obstacle(page: Any, request: ImageRequest) -> str:
    """Return why a page cannot be read a piece at a time, nothing where it can."""
    because = obstacle(page)
    if because:
        return because
    if page.imagedepth > 1:
        return "its values are of a kind that is not supported"
    if page.planarconfig == SEPARATE and page.samplesperpixel > 1:
        return "its channels are stored apart"
    pixels = page.tilewidth * page.tilelength if page.is_tiled else page.imagewidth * _rows(page)
    if pixels > max(SEGMENT_PIXELS, request.max_pixels) and not _is_plain(page):
        return f"its {'tiles' if page.is_tiled else 'strips'} are of {pixels / 1e6:.0f} megapixels"
    return ""


def _rows(page: Any) -> int:
    return max(1, min(int(page.rowsperstrip), int(page.imagelength)))


def _is_plain(page: Any) -> bool:
    """Whether any rows of a strip can be read by themselves."""
    is_whole = page.bitspersample == 8 * page.dtype.itemsize and page.dtype.kind != "b"
    has_steps = page.compression != UNCOMPRESSED or page.predictor != 1 or page.fillorder != 1
    return bool(is_whole and not has_steps and not page.is_tiled)


def _read_level(page: Any, request: ImageRequest, enough: float) -> Values:
    """Return the values (h, w, C) of a page or a smaller copy, averaged to fewer."""
    width, height = page.imagewidth, page.imagelength
    pieces = ((prepare(page, values), y, x) for values, y, x in _pieces(page))
    first = next(pieces, None)
    if first is None:
        raise ValueError("all of its tiles are missing")
    values, y, x = first
    means = BlockMeans(
        (height, width, values.shape[2]),
        values.dtype,
        _choose_factor(width, height, request.max_pixels, enough),
        no_data_of(page),
    )
    means.add(values, y, x)
    for values, y, x in pieces:
        means.add(values, y, x)
    return means.finish()


def _choose_factor(width: int, height: int, most: int, enough: float) -> int:
    """Return by how much to shrink: to no more pixels than `most`, and no fewer than `enough`."""
    factor = max(1, math.isqrt(int(width * height / enough)), math.isqrt(width * height // most))
    while -(-width // factor) * -(-height // factor) > most:
        factor += 1
    return factor


def _pieces(page: Any) -> Iterator[tuple[Values, int, int]]:
    """Yield parts (h, w, C) of a page in order, each with the row and the column of its corner."""
    if len(page.dataoffsets) < math.prod(page.chunked):
        raise ValueError("some of its tiles or strips are missing")
    if _is_plain(page):
        yield from _plain_pieces(page)
        return
    height, width = page.imagelength, page.imagewidth
    rows = page.tilelength if page.is_tiled else max(1, PIECE_PIXELS // width)
    for values, (_, _, y, x, _), _ in page.segments(maxworkers=1, buffersize=READ_BYTES):
        if values is None:  # a tile without data
            continue
        inside = values[0, : height - y, : width - x]
        for start in range(0, len(inside), rows):
            yield inside[start : start + rows], y + start, x


def _plain_pieces(page: Any) -> Iterator[tuple[Values, int, int]]:
    """Yield rows of the strips of a page that are not compressed."""
    file = page.parent.filehandle
    shape = (page.imagewidth, page.samplesperpixel)
    dtype = page.dtype.newbyteorder(page.parent.byteorder)
    row_bytes = shape[0] * shape[1] * dtype.itemsize
    in_strip = _rows(page)
    at_once = max(1, PIECE_PIXELS // page.imagewidth)
    for strip, top in enumerate(range(0, page.imagelength, in_strip)):
        bottom = min(top + in_strip, page.imagelength)
        for y in range(top, bottom, at_once):
            rows = min(at_once, bottom - y)
            file.seek(page.dataoffsets[strip] + (y - top) * row_bytes)
            data = file.read(rows * row_bytes)
            if len(data) < rows * row_bytes:
                raise ValueError("the file is truncated")
            yield np.frombuffer(data, dtype).reshape(rows, *shape), y, 0
