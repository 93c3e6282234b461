"""The only place where images are decoded: upright, RGB, bounded in size."""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from indexer.arrays import Pixels
from indexer.choices import MAX_PIXELS, Damaged
from indexer.errors import (
    DamagedImageError,
    ImageTooLargeError,
    InaccessibleImageError,
    UnreadableImageError,
)
from indexer.images.colour import ProfileError, to_srgb
from indexer.images.deep import (
    TIFF_STARTS,
    has_subpictures,
    is_deep,
    read_deep,
    read_subpicture,
    tiff_size,
    to_image,
)
from indexer.images.facts import PARSER_FAULTS, ImageFacts, read_facts
from indexer.images.ground import flatten, seek_content
from indexer.images.jpeg import decode_jpeg
from indexer.images.pages import choose_page
from indexer.images.png import SIGNATURE, DamagedPngError, check_png

FORMATS = (  # and HEIF
    *("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF"),
    *("JPEG2000", "PPM", "TGA"),
)
ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True)
class LoadedImage:
    """Upright RGB `pixels` (H, W, 3), perhaps fewer than the file has, and the file's `facts`.

    `pages` is how many pictures the file holds, of which this is one, and `warnings` say what in it
    is damaged beside the pixels.
    """

    pixels: Pixels
    facts: ImageFacts
    pages: int = 1
    warnings: tuple[str, ...] = ()

    @property
    def image(self) -> Image.Image:
        """A copy of the pixels, for drawing and writing."""
        return Image.fromarray(self.pixels)


def load_image(
    source: str | os.PathLike[str] | bytes | IO[bytes],
    *,
    at_least: int | None = None,
    part: tuple[int, int, int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
    damaged: Damaged = "skip",
) -> LoadedImage:
    """Decode an image upright, in RGB and in the colours of its profile.

    Values of more than 8 bits are scaled by what they hold. Transparency is on white, or on a
    ground on which the drawing shows. Of an animation the first frame that shows something is
    taken, of several pages the first, or the largest where the first is a thumbnail.

    `at_least` allows a JPEG to be decoded at 1/2, 1/4 or 1/8 of its size, as long as the result
    covers at least `at_least`² pixels of area in the original's shape; with `part`, a box (x0, y0,
    x1, y1) of the upright original, as long as that does. `name` stands for the source in errors.

    Raises `ImageTooLargeError` before decoding where the image has more than `max_pixels`,
    `DamagedImageError` where the file itself says that pixels are damaged, unless `damaged` is
    take, and `UnreadableImageError` for anything that cannot be decoded.
    """
    label = name or (str(source) if isinstance(source, str | os.PathLike) else "image")
    stream = BytesIO(source) if isinstance(source, bytes) else source
    wanted = _Wanted(at_least, part, max_pixels, label, damaged)
    try:
        return _load(stream, wanted)
    except FileNotFoundError as error:
        raise InaccessibleImageError(label, "no such file") from error
    except IsADirectoryError as error:
        raise InaccessibleImageError(label, "is a folder, not an image") from error
    except PermissionError as error:
        raise InaccessibleImageError(label, "permission denied") from error
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(
            label,
            "has more pixels than Pillow opens; set PIL.Image.MAX_IMAGE_PIXELS = None, as the "
            "cbir command does",
        ) from error
    except PARSER_FAULTS as error:
        by_system = isinstance(error, MemoryError) or getattr(error, "errno", None) is not None
        kind = InaccessibleImageError if by_system else UnreadableImageError
        raise kind(label, _reason(error, stream)) from error


@dataclass(frozen=True)
class _Wanted:
    """What `load_image` was asked for."""

    at_least: int | None
    part: tuple[int, int, int, int] | None
    max_pixels: int
    label: str
    damaged: Damaged

    def check_size(self, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise ImageTooLargeError(
                self.label,
                f"{width} × {height} = {width * height / 1e6:.0f} megapixels is over the limit of "
                f"{self.max_pixels / 1e6:.0f}; raise it with --max-megapixels",
            )

    def note_damage(self, what: str, warnings: list[str]) -> None:
        """Refuse damaged pixels, or warn of them where they are to be taken."""
        if self.damaged == "skip":
            raise DamagedImageError(self.label, f"{what}; --damaged take uses what can be read")
        warnings.append(what)


def _load(stream: str | os.PathLike[str] | IO[bytes], wanted: _Wanted) -> LoadedImage:
    warnings: list[str] = []
    try:
        opened = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:
        data = _read(stream)
        if data.startswith(TIFF_STARTS):
            return _load_odd_tiff(data, wanted)
        if data.startswith(SIGNATURE):
            data = _checked_png(data, wanted, warnings)
            opened = Image.open(BytesIO(data), formats=FORMATS)
        else:
            opened = Image.open(stream, formats=_load_heif())
    with opened as image:
        if image.format == "PNG" and image.fp is not None:
            data = _read(image.fp)
            checked = _checked_png(data, wanted, warnings)
            if checked is not data:
                with Image.open(BytesIO(checked), formats=FORMATS) as clean:
                    return _decode(clean, wanted, warnings)
        return _load_subpicture(image, wanted, warnings) or _decode(image, wanted, warnings)


def _load_subpicture(
    image: ImageFile.ImageFile, wanted: _Wanted, warnings: list[str]
) -> LoadedImage | None:
    """Return the picture of a TIFF whose pages are but thumbnails of it, None for any other."""
    if image.format != "TIFF" or image.fp is None or not has_subpictures(image):
        return None
    area = choose_page(image).area
    found = read_subpicture(_read(image.fp), area, wanted.check_size)
    if found is None:
        return None
    facts = replace(read_facts(image), width=found.width, height=found.height)
    rgb = _to_rgb(found, image.info.get("icc_profile"), warnings)
    return LoadedImage(np.asarray(rgb), facts, 1, tuple(warnings))


def _read(stream: str | os.PathLike[str] | IO[bytes]) -> bytes:
    """Return all bytes of a file; a stream stays where it is."""
    if isinstance(stream, str | os.PathLike):
        return Path(stream).read_bytes()
    place = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(place)
    return data


def _load_odd_tiff(data: bytes, wanted: _Wanted) -> LoadedImage:
    """Decode a TIFF that Pillow does not know."""
    wanted.check_size(*tiff_size(data))
    image = read_deep(data, "TIFF")
    facts = ImageFacts(image.width, image.height, "TIFF", None, None)
    return LoadedImage(np.asarray(_to_rgb(image, None, [])), facts)


def _checked_png(data: bytes, wanted: _Wanted, warnings: list[str]) -> bytes:
    """Return a PNG without its damaged chunks that pixels do not need."""
    try:
        data, left_out = check_png(data)
    except DamagedPngError as error:
        wanted.note_damage(str(error), warnings)
    else:
        warnings += [f"its {name} is damaged and was ignored" for name in left_out]
    return data


@cache
def _load_heif() -> tuple[str, ...]:
    """Let Pillow open HEIF. The library is large, and few queries need it."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _decode(image: ImageFile.ImageFile, wanted: _Wanted, warnings: list[str]) -> LoadedImage:
    pages = choose_page(image)
    width, height = image.size
    wanted.check_size(width, height)
    is_not_8_bit = image.fp is not None and is_deep(image)
    deep = _read(image.fp) if is_not_8_bit and image.fp is not None else None
    facts = read_facts(image)
    x0, y0, x1, y1 = wanted.part or (0, 0, width, height)
    area = (x1 - x0) * (y1 - y0)
    if wanted.at_least is not None and area > wanted.at_least**2:
        scale = wanted.at_least / math.sqrt(area)
        image.draft(None, (math.ceil(width * scale), math.ceil(height * scale)))
    profile = image.info.get("icc_profile")
    pixels = decode_jpeg(image, lambda what: wanted.note_damage(what, warnings))
    if deep is not None:
        read = read_deep(deep, image.format, pages.chosen)
        pixels = np.asarray(_to_rgb(read, profile, warnings))
    elif pixels is None:
        pixels = np.asarray(_to_rgb(_decode_other(image), profile, warnings))
    elif profile:
        grey = image.mode == "L"
        plain = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0]) if grey else pixels)
        pixels = np.asarray(_to_rgb(plain, profile, warnings))
    return LoadedImage(pixels, facts, pages.count, tuple(warnings))


def _decode_other(image: ImageFile.ImageFile) -> Image.Image:
    """Return what is no common JPEG, upright."""
    if getattr(image, "is_animated", False) and image.format in ANIMATED:
        seek_content(image)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _to_rgb(image: Image.Image, profile: bytes | None, warnings: list[str]) -> Image.Image:
    """Return an image in RGB, without transparency, in the colours of its profile."""
    if image.mode.startswith("I") or image.mode == "F":
        image = to_image(np.asarray(image))
    if image.has_transparency_data:
        image = flatten(image)
    elif image.mode not in ("RGB", "L", "CMYK"):
        image = image.convert("RGB")
    if profile:
        try:
            return to_srgb(image, profile)
        except ProfileError as error:
            warnings.append(f"its colour profile {error} and was ignored")
    return image.convert("RGB")


def _reason(error: BaseException, stream: object) -> str:
    with contextlib.suppress(OSError):
        if isinstance(stream, BytesIO):
            size = stream.getbuffer().nbytes
        else:
            size = Path(stream).stat().st_size if isinstance(stream, str | os.PathLike) else 1
        if size == 0:
            return "is empty (0 bytes)"
    if isinstance(error, UnidentifiedImageError):
        return "is not a readable image, or its header is damaged"
    if isinstance(error, MemoryError):
        return "needs more memory than is available"
    return f"cannot be decoded: {str(error).strip() or type(error).__name__}"
