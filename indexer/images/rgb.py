"""Pictures of any mode of Pillow in RGB: on a ground, and in the colours that the file says."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFile

from indexer.arrays import Pixels
from indexer.images.colour import ProfileError, is_srgb, to_srgb
from indexer.images.colour_codes import find_codes, profile_of_codes, profile_of_gamma
from indexer.images.deep import to_image
from indexer.images.ground import flatten, strips
from indexer.images.jpeg2000 import read_header
from indexer.images.png import CODES
from indexer.images.tiff_page import NOTE

UNSURE_OPACITY = ("BMP", "DIB", "TGA")  # formats of which many files have zeros in its place
ROWS = 64  # converted at a time: they stay in the processor's cache
TGA_HEADER = 18  # bytes, of which the last one says how many bits are opacity
TGA_OPACITY_BITS = 0x0F


def to_rgb(image: Image.Image, profile: bytes | None, warnings: list[str]) -> Image.Image:
    """Return an image in RGB, without transparency, in the colours of its profile."""
    if note := image.info.get(NOTE):
        warnings.append(note)
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
            warnings.append(_ignored(error))
    return image if image.mode == "RGB" else image.convert("RGB")


def to_pixels(image: Image.Image) -> Pixels:
    """Return the pixels (H, W, 3) of an image in RGB; as a whole, Pillow copies them twice."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for box in strips(image.size):
        pixels[box[1] : box[3]] = np.asarray(image.crop(box))
    return pixels


def apply_profile(pixels: Pixels, profile: bytes, warnings: list[str], *, is_grey: bool) -> Pixels:
    """Return decoded pixels (H, W, 3) in the colours of their profile."""
    if is_srgb(profile):
        return pixels
    converted = np.empty_like(pixels)
    try:
        for top in range(0, len(pixels), ROWS):
            rows = pixels[top : top + ROWS]
            part = Image.fromarray(np.ascontiguousarray(rows[:, :, 0]) if is_grey else rows)
            converted[top : top + ROWS] = np.asarray(to_srgb(part, profile))
    except ProfileError as error:
        warnings.append(_ignored(error))
        return pixels
    return converted


def _ignored(error: ProfileError) -> str:
    return f"its colour profile {error} and was ignored"


def profile_of(image: ImageFile.ImageFile) -> bytes | None:
    """Return the colour profile of an opened image, or one of the numbers that it has instead."""
    own: bytes | None = image.info.get("icc_profile")
    if image.format == "PNG":
        if codes := image.info.get(CODES):
            return profile_of_codes(*codes) or own
        if own or "srgb" in image.info:
            return own
        return profile_of_gamma(image.info.get("gamma"), image.info.get("chromaticity"))
    if image.format == "JPEG2000" and image.fp is not None:
        header = read_header(image.fp)
        return header.profile if header.is_plain else None  # else it is applied already
    if own or image.format not in ("AVIF", "HEIF") or image.fp is None:
        return own
    found = find_codes(image.fp)
    return None if found is None else profile_of_codes(*found)


def has_no_opacity(image: ImageFile.ImageFile) -> bool:
    """Whether the header of an opened TGA says that what is in the place of opacity is not one."""
    if image.format != "TGA" or image.fp is None:
        return False
    place = image.fp.tell()
    image.fp.seek(0)
    header = image.fp.read(TGA_HEADER)
    image.fp.seek(place)
    return not header[-1] & TGA_OPACITY_BITS


def drop_false_opacity(image: Image.Image, is_opaque: bool) -> Image.Image:
    """Return a loaded image without opacity where it has none, or all of it were transparent.

    The latter holds for BMP and TGA, of which many have zeros there.
    """
    if image.mode not in ("RGBA", "LA"):
        return image
    is_unsure = image.format in UNSURE_OPACITY
    if is_opaque or (is_unsure and image.getchannel("A").getextrema() == (0, 0)):
        return image.convert(image.mode[:-1])
    return image
