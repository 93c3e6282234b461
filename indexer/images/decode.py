"""The only place where images are decoded: upright, RGB, bounded in size."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from indexer.arrays import Pixels
from indexer.choices import MAX_PIXELS
from indexer.errors import ImageTooLargeError, UnreadableImageError
from indexer.images.facts import PARSER_FAULTS, ImageFacts, read_facts

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF")  # and HEIF
LARGEST_JPEG = 64 << 20  # bytes held at once; Pillow streams larger files

# How pixels become upright, by EXIF orientation.
_TURNS: dict[Any, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels[::-1].transpose(1, 0, 2),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels[:, ::-1].transpose(1, 0, 2),
}


@dataclass(frozen=True)
class LoadedImage:
    """Upright RGB `pixels` (H, W, 3), perhaps fewer than the file has, and the file's `facts`."""

    pixels: Pixels
    facts: ImageFacts

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
) -> LoadedImage:
    """Decode an image upright and in RGB, transparency on white, the first frame of several.

    `at_least` allows a JPEG to be decoded at 1/2, 1/4 or 1/8 of its size, as long as the result
    covers at least `at_least`² pixels of area in the original's shape; with `part`, a box (x0, y0,
    x1, y1) of the upright original, as long as that does. `name` stands for the source in errors.

    Raises `ImageTooLargeError` before decoding where the image has more than `max_pixels`, and
    `UnreadableImageError` for anything that cannot be decoded.
    """
    label = name or (str(source) if isinstance(source, str | os.PathLike) else "image")
    stream = BytesIO(source) if isinstance(source, bytes) else source
    try:
        with _open(stream) as image:
            return _decode(image, at_least, part, max_pixels, label)
    except FileNotFoundError as error:
        raise UnreadableImageError(label, "no such file") from error
    except IsADirectoryError as error:
        raise UnreadableImageError(label, "is a folder, not an image") from error
    except PermissionError as error:
        raise UnreadableImageError(label, "permission denied") from error
    except Image.DecompressionBombError as error:
        raise ImageTooLargeError(
            label,
            "has more pixels than Pillow opens; set PIL.Image.MAX_IMAGE_PIXELS = None, as the "
            "cbir command does",
        ) from error
    except PARSER_FAULTS as error:
        raise UnreadableImageError(label, _reason(error, stream)) from error


def _open(stream: str | os.PathLike[str] | IO[bytes]) -> Image.Image:
    try:
        return Image.open(stream, formats=FORMATS)
    except UnidentifiedImageError:
        return Image.open(stream, formats=_load_heif())


@cache
def _load_heif() -> tuple[str, ...]:
    """Let Pillow open HEIF. The library is large, and few queries need it."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _decode(
    image: Image.Image,
    at_least: int | None,
    part: tuple[int, int, int, int] | None,
    max_pixels: int,
    label: str,
) -> LoadedImage:
    width, height = image.size
    if width * height > max_pixels:
        raise ImageTooLargeError(
            label,
            f"{width} × {height} = {width * height / 1e6:.0f} megapixels is over the limit of "
            f"{max_pixels / 1e6:.0f}; raise it with --max-megapixels",
        )
    facts = read_facts(image)
    x0, y0, x1, y1 = part or (0, 0, width, height)
    area = (x1 - x0) * (y1 - y0)
    if at_least is not None and area > at_least**2:
        scale = at_least / math.sqrt(area)
        image.draft(None, (math.ceil(width * scale), math.ceil(height * scale)))
    pixels = _decode_jpeg(image)
    if pixels is None:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        pixels = np.asarray(_to_rgb(image))
    return LoadedImage(pixels, facts)


def _decode_jpeg(image: Image.Image) -> Pixels | None:
    """Return the upright RGB pixels of a common JPEG at the size of its draft.

    None for anything else, and for any oddity in the file, which is Pillow's to judge. Both use
    libjpeg-turbo and give the same pixels; Pillow takes half as long again to hand them out.
    """
    if not isinstance(image, JpegImageFile) or image.mode not in ("RGB", "L") or not image.fp:
        return None
    if image.fp.seek(0, os.SEEK_END) > LARGEST_JPEG:
        return None  # a film or a backup may be appended to it
    image.fp.seek(0)
    data = image.fp.read()
    width, height = image.size
    try:
        if simplejpeg.decode_jpeg_header(data, height, width)[:2] != (height, width):
            return None
        pixels: Pixels = simplejpeg.decode_jpeg(data, "RGB", min_height=height, min_width=width)
    except ValueError:
        return None
    turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _to_8_bits(image).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(canvas, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scale 9–32-bit and float greys to 8 bits: integers by their bit depth, floats by range."""
    values = np.asarray(image, dtype=np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode != "F" and low >= 0:
        low, high = 0.0, 2.0 ** max(8, math.ceil(math.log2(high + 1))) - 1
    scaled = (values - low) / max(high - low, 1e-12) * 255
    return Image.fromarray(scaled.round().astype(np.uint8))


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
