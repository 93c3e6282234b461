"""Formats: pictures of all kinds, decoded in this process: upright, RGB, bounded in size."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps, UnidentifiedImageError

from indexer.arrays import Pixels
from indexer.errors import ImageTooLargeError, InaccessibleImageError, UnreadableImageError
from indexer.images.deep import TIFF_STARTS, has_subpictures, is_deep, read_deep
from indexer.images.facts import (
    PARSER_FAULTS,
    TURNED,
    ImageFacts,
    facts_of_page,
    read_facts,
    read_orientation,
)
from indexer.images.ground import seek_content
from indexer.images.jpeg import check_scans, decode_jpeg, has_many_scans
from indexer.images.large_tiff import read_within
from indexer.images.needs import bytes_to_decode
from indexer.images.oversize import reduce_size
from indexer.images.pages import choose_page, count_own, knows_pages, pick_page
from indexer.images.png import (
    SIGNATURE,
    DamagedPngError,
    add_details,
    check_png,
    find_exif,
    is_cut_short,
)
from indexer.images.raw import Preview, find_preview, may_be_raw
from indexer.images.request import ImageRequest
from indexer.images.rgb import (
    apply_profile,
    drop_false_opacity,
    has_no_opacity,
    profile_of,
    to_pixels,
    to_rgb,
)
from indexer.images.streams import explain_fault, opening, read_all
from indexer.images.tiff_page import find_subpicture, obstacle, open_tiff, orientation_of
from indexer.images.upright import turn_upright

FORMATS = (  # and HEIF
    *("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF"),
    *("JPEG2000", "PPM", "TGA"),
)
PLAIN = ("JPEG", "PNG", "WEBP")  # decoders that are common, fast and well tested
LARGE = 50_000_000  # pixels that take about a second, which a process may not be held up for
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


class NeedsConfinementError(Exception):
    """A picture that is to be decoded in a process of its own, see `ImageRequest.is_confined`."""


def decode_image(stream: str | os.PathLike[str] | IO[bytes], wanted: ImageRequest) -> LoadedImage:
    """Decode a picture as `load_image` does, in this process.

    Raises `NeedsConfinementError` where the request is not confined and the picture is not plain:
    a JPEG, an 8-bit PNG or a WebP, that does not move and is not very large; and `ImageError`.
    """
    label = wanted.label
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
        raise kind(label, explain_fault(error, stream)) from error


def _load(stream: str | os.PathLike[str] | IO[bytes], wanted: ImageRequest) -> LoadedImage:
    warnings: list[str] = []
    try:
        opened = Image.open(stream, formats=FORMATS if wanted.is_confined else PLAIN)
    except UnidentifiedImageError:
        if not wanted.is_confined:
            raise NeedsConfinementError from None
        with opening(stream) as file:
            start = file.read(len(SIGNATURE))
            if start.startswith(TIFF_STARTS):
                if preview := find_preview(file, wanted.page):
                    return _load_preview(preview, wanted, warnings)
                return _load_odd_tiff(file, wanted)
        if start == SIGNATURE:
            data = _checked_png(read_all(stream), wanted, warnings)
            opened = Image.open(BytesIO(data), formats=FORMATS)
        else:
            opened = Image.open(stream, formats=_load_heif())
    with opened as image:
        if may_be_raw(image) and (preview := find_preview(image.fp, wanted.page)):
            return _load_preview(preview, wanted, warnings)
        if image.format == "TIFF" and image.fp is not None and not knows_pages(image):
            return _load_odd_tiff(image.fp, wanted)
        if image.format == "PNG" and image.fp is not None:
            return _load_png(image, read_all(image.fp), wanted, warnings)
        return _load_subpicture(image, wanted, warnings) or _decode(image, wanted, warnings)


def _load_png(
    image: ImageFile.ImageFile, data: bytes, wanted: ImageRequest, warnings: list[str]
) -> LoadedImage:
    """Decode an opened PNG of these bytes."""
    checked = _checked_png(data, wanted, warnings)
    if checked is data:
        return _decode(image, wanted, warnings, data)
    with Image.open(BytesIO(checked), formats=FORMATS) as clean:
        return _decode(clean, wanted, warnings, checked)


def _load_preview(preview: Preview, wanted: ImageRequest, warnings: list[str]) -> LoadedImage:
    """Decode the preview of a camera RAW."""
    with Image.open(BytesIO(preview.jpeg), formats=("JPEG", "MPO")) as image:
        is_upright = ExifTags.Base.Orientation in image.getexif()
        loaded = _decode(image, wanted, warnings)
    orientation = 1 if is_upright else preview.orientation
    width, height = loaded.facts.width, loaded.facts.height
    size = (height, width) if orientation in TURNED else (width, height)
    facts = replace(preview.facts, width=size[0], height=size[1])
    pixels = turn_upright(loaded.pixels, orientation)
    return LoadedImage(pixels, facts, warnings=tuple(warnings))


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
    rgb = to_rgb(found, image.info.get("icc_profile"), warnings)
    return LoadedImage(to_pixels(rgb), facts, warnings=tuple(warnings))


def _load_odd_tiff(file: IO[bytes], wanted: ImageRequest) -> LoadedImage:
    """Decode a TIFF that Pillow does not know."""
    with open_tiff(file) as opened:
        pages: list[Any] = list(opened.pages)
        if not pages:
            raise ValueError("it is a TIFF without a page")
        areas = [0 if obstacle(page) else page.imagewidth * page.imagelength for page in pages]
        kinds = [int(page.subfiletype) for page in pages]
        count = len(pages) if isinstance(wanted.page, int) else count_own(kinds)
        chosen = pick_page(areas[:count], kinds[:count], wanted.page)
        page = pages[chosen]
        image, size = read_within(opened, page, orientation_of(page), wanted, chosen)
        facts = facts_of_page(page, size)
        profile = page.iccprofile
    warnings: list[str] = []
    pixels = to_pixels(to_rgb(image, profile, warnings))
    return LoadedImage(pixels, facts, count, chosen, tuple(warnings))


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


def _decode(
    image: ImageFile.ImageFile, wanted: ImageRequest, warnings: list[str], png: bytes = b""
) -> LoadedImage:
    """Decode an opened picture; of a PNG, `png` are all bytes."""
    if not wanted.is_confined and not _is_plain(image):
        raise NeedsConfinementError
    if png:
        add_details(image, png)
    pages = choose_page(image, wanted.page)
    is_over = wanted.must_reduce(*image.size, image.format)
    if wanted.is_confined:
        check_scans(image)
    if not (image.format == "TIFF" and (is_over or is_deep(image))):
        wanted.reserve(bytes_to_decode(image, wanted))
    read = _read_apart(image, pages.chosen, wanted, is_over)
    profile = profile_of(image)
    if png and read is None:
        image.load()  # for the facts Pillow does so, too, but then its faults would pass for theirs
        if is_cut_short(image, png):
            wanted.check_damage("is damaged (pixels are missing at its end)", warnings)
    facts = read_facts(image, warnings)
    pixels = None
    if read is None:
        if is_over:
            reduce_size(image, wanted)
        elif draft := wanted.draft_size(*image.size):
            image.draft(None, draft)
        pixels = decode_jpeg(image, lambda what: wanted.check_damage(what, warnings))
    if pixels is None:
        pixels = to_pixels(to_rgb(read or _decode_other(image), profile, warnings))
    elif profile:
        pixels = apply_profile(pixels, profile, warnings, is_grey=image.mode == "L")
    return LoadedImage(pixels, facts, pages.count, pages.chosen, tuple(warnings))


def _read_apart(
    image: ImageFile.ImageFile, page: int, wanted: ImageRequest, is_over: bool
) -> Image.Image | None:
    """Return a picture that Pillow would cut to 8 bits, or hold as a whole; None for any other."""
    if image.fp is None:
        return None
    is_odd = is_deep(image)
    if image.format == "TIFF" and (is_over or is_odd):
        with open_tiff(image.fp) as file:
            chosen = file.pages[page]
            return read_within(file, chosen, orientation_of(chosen), wanted, page)[0]
    if not is_over and is_odd:
        data = read_all(image.fp)
        if image.format == "PNG":  # Pillow would decode all of it to look for a later one
            image.info.setdefault("exif", find_exif(data, image.info))
        read = read_deep(data, image.format)
        orientation = read_orientation(image)
        return read if orientation == 1 else _turned(read, orientation)
    return None


def _turned(image: Image.Image, orientation: object) -> Image.Image:
    return Image.fromarray(turn_upright(np.asarray(image), orientation))


def _is_plain(image: ImageFile.ImageFile) -> bool:
    """Whether a picture is of the common kinds, which are decoded where they are asked for."""
    is_still = not getattr(image, "is_animated", False) or image.format == "MPO"
    is_small = image.width * image.height <= LARGE
    return is_still and is_small and not is_deep(image) and not has_many_scans(image)


def _decode_other(image: ImageFile.ImageFile) -> Image.Image:
    """Return what is no common JPEG, upright."""
    if getattr(image, "is_animated", False) and image.format in ANIMATED:
        seek_content(image)
    is_opaque = has_no_opacity(image)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return drop_false_opacity(image, is_opaque)
