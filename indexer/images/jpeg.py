"""JPEG: the common kind, decoded by libjpeg-turbo, which says what is damaged."""

from __future__ import annotations

import os
from collections.abc import Callable

import simplejpeg
from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from indexer.arrays import Pixels
from indexer.images.upright import turn_upright

LARGEST_JPEG = 64 << 20  # bytes held at once; Pillow streams larger files
CORRUPT = "Corrupt JPEG data: "  # begins most warnings of libjpeg
HARMLESS = "extraneous bytes"  # between the parts of a picture that is whole


def decode_jpeg(image: Image.Image, note_damage: Callable[[str], None]) -> Pixels | None:
    """Return the upright RGB pixels (H, W, 3) of a common JPEG at the size of its draft.

    None for anything else, and for any oddity in the file, which is Pillow's to judge. Both use
    libjpeg-turbo and give the same pixels; Pillow takes half as long again to hand them out, and
    keeps the library's warnings to itself. Pixels that those call damaged are given to
    `note_damage`, which may refuse them.
    """
    if not isinstance(image, JpegImageFile) or image.mode not in ("RGB", "L") or not image.fp:
        return None
    if image.fp.seek(0, os.SEEK_END) > LARGEST_JPEG:
        return None  # a film or a backup may be appended to it
    image.fp.seek(0)
    data = image.fp.read()
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
