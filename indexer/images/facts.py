"""What a file says about its image: size, format, date and camera."""

from __future__ import annotations

import contextlib
import datetime as dt
import struct
import zlib
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

# What Pillow's parsers raise on damaged bytes, beyond OSError.
PARSER_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    IndexError,
    KeyError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)

BAD_EXIF = "its EXIF block is damaged and was ignored, in whole or in part"
EMPTY_EXIF = 20  # bytes of a block without entries
TURNED = (5, 6, 7, 8)  # EXIF orientations of which width and height are exchanged


@dataclass(frozen=True)
class ImageFacts:
    """What the file says about an image: `width` and `height` in pixels of the upright original."""

    width: int
    height: int
    format: str
    taken_at: dt.datetime | None
    camera: str | None


def read_facts(image: Image.Image, warnings: list[str]) -> ImageFacts:
    """Read the facts of an opened image.

    Those in a damaged EXIF block stay unknown, and `warnings` gets one more.
    """
    width, height = image.size
    taken_at, camera = None, None
    try:
        exif = image.getexif()
        # pillow-heif takes the orientation out, which may leave a block empty.
        is_raw = image.format not in ("HEIF", "AVIF")
        if is_raw and not exif and len(image.info.get("exif", b"")) > EMPTY_EXIF:
            warnings.append(BAD_EXIF)
        # Pillow already gives the upright size of a TIFF.
        turned = exif.get(ExifTags.Base.Orientation, 1) in TURNED
        if turned and image.format != "TIFF":
            width, height = height, width
        camera = _camera(exif.get(ExifTags.Base.Make), exif.get(ExifTags.Base.Model))
        details = exif.get_ifd(ExifTags.IFD.Exif)
        original = details.get(ExifTags.Base.DateTimeOriginal)
        taken_at = _date(original or exif.get(ExifTags.Base.DateTime))
    except PARSER_FAULTS:
        warnings.append(BAD_EXIF)
    return ImageFacts(width, height, image.format or "", taken_at, camera)


def facts_of_page(page: Any, size: tuple[int, int]) -> ImageFacts:
    """Return the facts of a page of a TIFF that tifffile opened, of (width, height) upright."""

    def value(tag: int) -> Any:
        found = page.tags.get(tag)
        return None if found is None else found.value

    details = value(ExifTags.IFD.Exif)
    original = details.get("DateTimeOriginal") if isinstance(details, dict) else None
    taken_at = _date(original or value(ExifTags.Base.DateTime))
    camera = _camera(value(ExifTags.Base.Make), value(ExifTags.Base.Model))
    return ImageFacts(*size, "TIFF", taken_at, camera)


def _date(taken: object) -> dt.datetime | None:
    """Return a date as EXIF has it, None for a camera whose clock was never set."""
    with contextlib.suppress(ValueError):
        return dt.datetime.strptime(str(taken)[:19], "%Y:%m:%d %H:%M:%S")
    return None


def _camera(*names: object) -> str | None:
    maker, model = ("" if n is None else str(n).replace("\0", "").strip() for n in names)
    # Many makers repeat their name in the model.
    return (model if model.startswith(maker) else f"{maker} {model}").strip() or None
