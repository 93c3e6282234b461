"""Needs: how many bytes the decoding of a picture takes at most, by its header."""

from __future__ import annotations

from typing import Any

from PIL import ImageFile

from indexer.images.deep import BITS, is_deep
from indexer.images.request import ImageRequest

COPIES = 12  # bytes a pixel: up to three copies in 8 bits, of four bytes each in Pillow
COEFFICIENTS = 6  # bytes a pixel of a progressive JPEG: all of them are held, of two bytes each
DRAFT = 4  # times the pixels asked for: a JPEG is decoded at the next larger of its sizes
FRAMES = 8  # bytes a pixel of an animation: two earlier frames on which a frame is drawn
PLANES = {"AVIF": 12, "HEIF": 12, "JPEG2000": 12}  # bytes a pixel of decoders beside their result
SAMPLES = 277  # the tag of TIFF: values of a pixel


def bytes_to_decode(image: ImageFile.ImageFile, request: ImageRequest) -> int:
    """Return how many bytes an opened picture takes until its pixels are there, and with them."""
    area = image.width * image.height
    decoded = min(area, request.max_pixels)
    if image.format in ("JPEG", "MPO"):
        draft = request.draft_size(*image.size)
        if draft is not None:
            decoded = min(decoded, DRAFT * draft[0] * draft[1])
        coefficients = area * COEFFICIENTS if image.info.get("progressive") else 0
        return decoded * (COPIES + 3) + coefficients
    beside = PLANES.get(image.format or "", 0)
    if getattr(image, "is_animated", False):
        beside += FRAMES
    return decoded * (_bytes_a_pixel(image) + beside + COPIES)


def _bytes_a_pixel(image: ImageFile.ImageFile) -> int:
    if image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        bits = int(max(tags.get(BITS, (1,))))
        return -(-bits * int(tags.get(SAMPLES, 1)) // 8)
    return len(image.getbands()) * (2 if is_deep(image) else 1)


def bytes_of_page(page: Any, request: ImageRequest) -> int:
    """Return the same of a page of a TIFF; of a large one, only a part is there at a time."""
    decoded = min(page.imagewidth * page.imagelength, request.max_pixels)
    part = page.tilewidth * page.tilelength if page.is_tiled else 0
    of_pixel = -(-int(page.bitspersample) * int(page.samplesperpixel) // 8)
    without_others = of_pixel if page.extrasamples else 0
    return int(decoded * (of_pixel + without_others + COPIES) + part * of_pixel)
