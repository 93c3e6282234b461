"""The only place where images are decoded: upright, RGB, bounded in size."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from indexer.arrays import Pixels
from indexer.choices import MAX_PIXELS, Damaged, Oversize, PageChoice
from indexer.errors import ImageTooLargeError, InaccessibleImageError, UnreadableImageError
from indexer.images.colour import ProfileError, to_srgb
from indexer.images.deep import (
    TIFF_STARTS,
    find_subpicture,
    has_subpictures,
    is_deep,
    open_tiff,
    orientation_of,
    read_deep,
    to_image,
)
from indexer.images.facts import PARSER_FAULTS, ImageFacts, read_facts
from indexer.images.ground import flatten, seek_content
from indexer.images.jpeg import decode_jpeg
from indexer.images.large_tiff import read_within
from indexer.images.oversize import reduce_size
from indexer.images.page_paths import find_page
from indexer.images.pages import choose_page, pick_page
from indexer.images.png import SIGNATURE, DamagedPngError, check_png
from indexer.images.request import ImageRequest

FORMATS = (  # and HEIF
    *("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF"),
    *("JPEG2000", "PPM", "TGA"),
)
ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")


@dataclass(frozen=True)
class LoadedImage:
    """Upright RGB `pixels` (H, W, 3), perhaps fewer than the file has, and the file's `facts`.

    `pages` is how many pictures the file holds, of which this is the one at `page`, from 0, and
    `warnings` say what in it is damaged beside the pixels.
    """

    pixels: Pixels
    facts: ImageFacts
    pages: int = 1
    page: int = 0
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
    page: int | PageChoice | None = None,
    oversize: Oversize = "skip",
) -> LoadedImage:
    """Decode an image upright, in RGB and in the colours of its profile.

    Values of more than 8 bits are scaled by what they hold. Transparency is on white, or on a
    ground on which the drawing shows. Of an animation the first frame that shows something is
    taken. Of several pages it is `page`, from 0 or by what it is; a path may end in `#page=N`, from
    1. Without either it is the first, or the largest where the first is a thumbnail.

    `at_least` allows a JPEG to be decoded at 1/2, 1/4 or 1/8 of its size, as long as the result
    covers at least `at_least`² pixels of area in the original's shape; with `part`, a box (x0, y0,
    x1, y1) of the upright original, as long as that does. `name` stands for the source in errors.

    With `oversize` reduce, a JPEG, JPEG 2000 or TIFF of more than `max_pixels` is read at a smaller
    size, without being decoded at full size first: with at most so many pixels, and with no more
    than `at_least` asks for where that is less. Its facts stay those of the original.

    Raises `ImageTooLargeError` before decoding where any other has more than `max_pixels`,
    `DamagedImageError` where the file itself says that pixels are damaged, unless `damaged` is
    take, and `UnreadableImageError` for anything that cannot be decoded.
    """
    label = name or (str(source) if isinstance(source, str | os.PathLike) else "image")
    if isinstance(source, str | os.PathLike):
        source, named = find_page(Path(source))
        page = named if page is None else page
    stream = BytesIO(source) if isinstance(source, bytes) else source
    chosen = "auto" if page is None else page
    wanted = ImageRequest(at_least, part, max_pixels, label, damaged, oversize, chosen)
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


def _load(stream: str | os.PathLike[str] | IO[bytes], wanted: ImageRequest) -> LoadedImage:
    warnings: list[str] = []
    try:
        opened = Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:
        with _opening(stream) as file:
            start = file.read(len(SIGNATURE))
            if start.startswith(TIFF_STARTS):
                return _load_odd_tiff(file, wanted)
        if start == SIGNATURE:
            data = _checked_png(_read(stream), wanted, warnings)
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
    image: ImageFile.ImageFile, wanted: ImageRequest, warnings: list[str]
) -> LoadedImage | None:
    """Return the picture of a TIFF whose pages are but thumbnails of it, None for any other."""
    if image.format != "TIFF" or image.fp is None or not has_subpictures(image):
        return None
    if isinstance(wanted.page, int):
        return None
    area = choose_page(image).area
    with open_tiff(image.fp) as file:
        page = find_subpicture(file, area)
        if page is None:
            return None
        found, size = read_within(file, page, orientation_of(file.pages[0]), wanted)
    facts = replace(read_facts(image, warnings), width=size[0], height=size[1])
    rgb = _to_rgb(found, image.info.get("icc_profile"), warnings)
    return LoadedImage(np.asarray(rgb), facts, warnings=tuple(warnings))


@contextlib.contextmanager
def _opening(stream: str | os.PathLike[str] | IO[bytes]) -> Iterator[IO[bytes]]:
    """Yield a file or a stream at its beginning."""
    if isinstance(stream, str | os.PathLike):
        with Path(stream).open("rb") as file:
            yield file
    else:
        stream.seek(0)
        yield stream


def _read(stream: str | os.PathLike[str] | IO[bytes]) -> bytes:
    """Return all bytes of a file; a stream stays where it is."""
    if isinstance(stream, str | os.PathLike):
        return Path(stream).read_bytes()
    place = stream.tell()
    stream.seek(0)
    data = stream.read()
    stream.seek(place)
    return data


def _load_odd_tiff(file: IO[bytes], wanted: ImageRequest) -> LoadedImage:
    """Decode a TIFF that Pillow does not know."""
    with open_tiff(file) as opened:
        pages: list[Any] = list(opened.pages)
        areas = [page.imagewidth * page.imagelength for page in pages]
        chosen = pick_page(areas, [bool(page.is_reduced) for page in pages], wanted.page)
        page = pages[chosen]
        image, size = read_within(opened, page, orientation_of(page), wanted, chosen)
    facts = ImageFacts(*size, "TIFF", None, None)
    return LoadedImage(np.asarray(_to_rgb(image, None, [])), facts, len(pages), chosen)


def _checked_png(data: bytes, wanted: ImageRequest, warnings: list[str]) -> bytes:
    """Return a PNG without its damaged chunks that pixels do not need."""
    try:
        data, left_out = check_png(data)
    except DamagedPngError as error:
        wanted.check_damage(str(error), warnings)
    else:
        warnings += [f"its {name} is damaged and was ignored" for name in left_out]
    return data


@cache
def _load_heif() -> tuple[str, ...]:
    """Let Pillow open HEIF. The library is large, and few queries need it."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _decode(image: ImageFile.ImageFile, wanted: ImageRequest, warnings: list[str]) -> LoadedImage:
    pages = choose_page(image, wanted.page)
    is_over = wanted.must_reduce(*image.size, image.format)
    read = _read_apart(image, pages.chosen, wanted, is_over)
    facts = read_facts(image, warnings)  # of some formats Pillow decodes all then
    profile = image.info.get("icc_profile")
    pixels = None
    if read is None:
        if is_over:
            reduce_size(image, wanted)
        elif draft := wanted.draft_size(*image.size):
            image.draft(None, draft)
        pixels = decode_jpeg(image, lambda what: wanted.check_damage(what, warnings))
    if pixels is None:
        pixels = np.asarray(_to_rgb(read or _decode_other(image), profile, warnings))
    elif profile:
        grey = image.mode == "L"
        plain = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0]) if grey else pixels)
        pixels = np.asarray(_to_rgb(plain, profile, warnings))
    return LoadedImage(pixels, facts, pages.count, pages.chosen, tuple(warnings))


def _read_apart(
    image: ImageFile.ImageFile, page: int, wanted: ImageRequest, is_over: bool
) -> Image.Image | None:
    """Return a picture that Pillow would cut to 8 bits, or hold as a whole; None for any other."""
    if image.fp is None:
        return None
    if is_over and image.format == "TIFF":
        with open_tiff(image.fp) as file:
            chosen = file.pages[page]
            return read_within(file, chosen, orientation_of(chosen), wanted, page)[0]
    if not is_over and is_deep(image):
        return read_deep(_read(image.fp), image.format, page)
    return None


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
