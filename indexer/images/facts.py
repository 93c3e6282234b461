"""What a file says about its image: size, format, date and camera."""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image, ImageFile

from indexer.images.xmp import DATES, EXIF_BOX, MAKE, MODEL, XMP_BOX, find_boxes, read_xmp

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


TAKEN = (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized)
TAKEN_NAMES = ("DateTimeOriginal", "DateTimeDigitized")
_DATE = re.compile(  # as EXIF has it; XMP and some programs write hyphens, and leave out the time
    r"\s*(\d{4})[:/.-](\d{1,2})[:/.-](\d{1,2})(?:[ T](\d{1,2}):(\d{1,2})(?::(\d{1,2}))?)?", re.ASCII
)


@dataclass(frozen=True)
class ImageFacts:
    """What the file says about an image: `width` and `height` in pixels of the upright original."""

    width: int
    height: int
    format: str
    taken_at: dt.datetime | None
    camera: str | None


@dataclass(frozen=True)
class _Found:
    """What metadata says: when a picture was taken, and else when it was changed; the camera."""

    taken_at: dt.datetime | None = None
    changed_at: dt.datetime | None = None
    camera: str | None = None

    @classmethod
    def of(cls, taken: Sequence[object], changed: object, maker: object, model: object) -> _Found:
        """Return it of dates as texts, the first that is one counts."""
        dates = (date for date in map(_date, taken) if date is not None)
        return cls(next(dates, None), _date(changed), _camera(maker, model))

    @property
    def date(self) -> dt.datetime | None:
        """The date that is shown."""
        return self.taken_at or self.changed_at

    def completed_by(self, other: _Found) -> _Found:
        """Return this with what it lacks from another."""
        return _Found(
            self.taken_at or other.taken_at,
            self.changed_at or other.changed_at,
            self.camera or other.camera,
        )


def read_facts(image: Image.Image, warnings: list[str]) -> ImageFacts:
    """Read the facts of an opened image.

    Those in a damaged EXIF block stay unknown, and `warnings` gets one more.
    """
    width, height = image.size
    found = _Found()
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
        found = _in_exif(exif)
        found = _beside(image, found)
    except PARSER_FAULTS:
        warnings.append(BAD_EXIF)
    return ImageFacts(width, height, image.format or "", found.date, found.camera)


def _in_exif(exif: Image.Exif) -> _Found:
    details = exif.get_ifd(ExifTags.IFD.Exif)
    dates = [details.get(tag) for tag in TAKEN]
    return _Found.of(
        dates,
        exif.get(ExifTags.Base.DateTime),
        exif.get(ExifTags.Base.Make),
        exif.get(ExifTags.Base.Model),
    )


def _beside(image: Image.Image, found: _Found) -> _Found:
    """Return what was found in EXIF, completed by XMP and, for a JPEG 2000, by its boxes."""
    if found.taken_at and found.camera:
        return found
    packet = image.info.get("xmp")
    if isinstance(image, ImageFile.ImageFile) and image.format == "JPEG2000" and image.fp:
        boxes = find_boxes(image.fp)
        packet = boxes.get(XMP_BOX)
        if EXIF_BOX in boxes:
            exif = Image.Exif()
            exif.load(boxes[EXIF_BOX])
            found = found.completed_by(_in_exif(exif))
    if not isinstance(packet, bytes | str):
        return found
    dates = [read_xmp(packet, name) for name in DATES]
    return found.completed_by(_Found.of(dates, None, *(read_xmp(packet, n) for n in (MAKE, MODEL))))


def read_orientation(image: Image.Image) -> object:
    """Return the EXIF orientation of an opened image, 1 where it has none or a damaged block."""
    with contextlib.suppress(*PARSER_FAULTS):
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    return 1


def facts_of_page(page: Any, size: tuple[int, int]) -> ImageFacts:
    """Return the facts of a page of a TIFF that tifffile opened, of (width, height) upright."""

    def value(tag: int) -> Any:
        found = page.tags.get(tag)
        return None if found is None else found.value

    details = value(ExifTags.IFD.Exif)
    dates = [details.get(name) for name in TAKEN_NAMES] if isinstance(details, dict) else []
    changed, names = value(ExifTags.Base.DateTime), (ExifTags.Base.Make, ExifTags.Base.Model)
    found = _Found.of(dates, changed, *(value(name) for name in names))
    return ImageFacts(*size, "TIFF", found.date, found.camera)


def _date(text: object) -> dt.datetime | None:
    """Return a date of EXIF or XMP, None for a camera whose clock was never set."""
    parts = _DATE.match(str(text))
    if parts is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in parts.groups())
    with contextlib.suppress(ValueError):
        return dt.datetime(year, month, day, hour, minute, min(second, 59))
    return None


def _camera(*names: object) -> str | None:
    maker, model = ("" if n is None else str(n).replace("\0", "").strip() for n in names)
    # Many makers repeat their name in the model.
    return (model if model.startswith(maker) else f"{maker} {model}").strip() or None
