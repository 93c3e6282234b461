"""Image files: finding them, and the only place where they are decoded: upright, RGB, bounded."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import simplejpeg
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from indexer.errors import ImageTooLargeError, UnreadableImageError

Pixels = npt.NDArray[np.uint8]
Resampling = Literal["linear", "bicubic"]
RESAMPLINGS: tuple[Resampling, ...] = ("linear", "bicubic")

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
HEIF_SUFFIXES = (".avif", ".heic", ".heif", ".hif")
OTHER_SUFFIXES = (".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif")
SUFFIXES = (*JPEG_SUFFIXES, *HEIF_SUFFIXES, *OTHER_SUFFIXES)
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF")  # and HEIF
MAX_PIXELS = 200_000_000
LARGEST_JPEG = 64 << 20  # bytes that are held at once; Pillow reads larger files as it goes

# Folders that hold no photos of the user's own: hidden ones, and the thumbnails of NAS systems.
_SKIPPED_FOLDERS = frozenset({"@eaDir", "#recycle", "__MACOSX", "$RECYCLE.BIN"})

# What Pillow's parsers raise on damaged bytes, beyond OSError.
_DECODER_FAULTS = (
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

# What makes an array of pixels upright, by its EXIF orientation.
_TURNS: dict[Any, Callable[[Pixels], Pixels]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels[::-1].transpose(1, 0, 2),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels[:, ::-1].transpose(1, 0, 2),
}

cv2.setNumThreads(1)  # the threads that decode are enough
# Complaints about EXIF blocks and palettes of images that can be used all the same.
warnings.filterwarnings("ignore", module=r"PIL\.")
# The limit is enforced by `load_image` itself, before any pixel is decoded.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class ImageFacts:
    """What the file says of an image: `width` and `height` in pixels of the upright original."""

    width: int
    height: int
    format: str
    taken_at: dt.datetime | None
    camera: str | None


@dataclass(frozen=True)
class LoadedImage:
    """Upright RGB `pixels` (H, W, 3), perhaps fewer than the file has, and the file's `facts`."""

    pixels: Pixels
    facts: ImageFacts

    @property
    def image(self) -> Image.Image:
        """A copy of the pixels, for drawing and writing."""
        return Image.fromarray(self.pixels)


def find_images(
    folder: Path, *, exclude: tuple[str, ...] = (), skip: Path | None = None
) -> Iterator[os.DirEntry[str]]:
    """Yield the image files under `folder`, recursively, in a fixed order.

    Hidden files and folders, `._*` resource forks and thumbnail folders are passed over, and so
    are files whose path under `folder` matches a glob of `exclude`, and the folder `skip`.
    Links to files are followed, links to folders are not, so that no loop is possible.
    """
    pending = [folder]
    while pending:
        current = pending.pop()
        folders: list[Path] = []
        with os.scandir(current) as entries:
            for entry in sorted(entries, key=lambda e: os.fsencode(e.name)):
                if entry.name.startswith("."):
                    continue
                if exclude and _is_excluded(Path(entry.path).relative_to(folder), exclude):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    path = Path(entry.path)
                    if entry.name not in _SKIPPED_FOLDERS and path != skip:
                        folders.append(path)
                elif entry.name.lower().endswith(SUFFIXES) and entry.is_file():
                    yield entry
        pending.extend(reversed(folders))


def _is_excluded(path: Path, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path.as_posix(), p) or fnmatch(path.name, p) for p in patterns)


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
        raise UnreadableImageError(label, "may not be read (permission denied)") from error
    except _DECODER_FAULTS as error:
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
    facts = _read_facts(image)
    x0, y0, x1, y1 = part or (0, 0, width, height)
    shown = (x1 - x0) * (y1 - y0)
    if at_least is not None and shown > at_least**2:
        scale = at_least / math.sqrt(shown)
        image.draft(None, (math.ceil(width * scale), math.ceil(height * scale)))
    pixels = _decode_jpeg(image)
    if pixels is None:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        pixels = np.asarray(_to_rgb(image))
    return LoadedImage(pixels, facts)


def _decode_jpeg(image: Image.Image) -> Pixels | None:
    """Return the upright RGB pixels of a common JPEG at the size that its draft has.

    None for anything else, and for whatever is odd about the file: Pillow judges that. The library
    below both is the same, and so are the pixels; Pillow takes half as long again to hand them out.
    """
    if not isinstance(image, JpegImageFile) or image.mode not in ("RGB", "L") or not image.fp:
        return None
    if image.fp.seek(0, os.SEEK_END) > LARGEST_JPEG:
        return None  # perhaps a film or a backup hangs on it
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


def resize_pixels(
    pixels: Pixels, size: tuple[int, int], resampling: Resampling = "linear"
) -> Pixels:
    """Return RGB pixels (H, W, 3) uint8 at another (width, height).

    `linear` averages where the image shrinks to less than half, so that nothing fine is skipped,
    and interpolates linearly elsewhere. `bicubic` is Pillow's, several times slower.
    """
    height, width = pixels.shape[:2]
    if (width, height) == size:
        return pixels
    if resampling == "bicubic":
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    shrinks = width >= 2 * size[0] or height >= 2 * size[1]
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size, interpolation=mode), np.uint8)


def _read_facts(image: Image.Image) -> ImageFacts:
    width, height = image.size
    taken_at, camera = None, None
    # A damaged EXIF block says nothing about the pixels: the facts stay unknown.
    with contextlib.suppress(*_DECODER_FAULTS):
        exif = image.getexif()
        # Pillow gives the size of a TIFF upright already.
        turned = exif.get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        if turned and image.format != "TIFF":
            width, height = height, width
        maker, model = (
            str(exif.get(tag, "")).replace("\0", "").strip()
            for tag in (ExifTags.Base.Make, ExifTags.Base.Model)
        )
        # Many makers repeat their name in the model.
        camera = (model if model.startswith(maker) else f"{maker} {model}").strip() or None
        details = exif.get_ifd(ExifTags.IFD.Exif)
        taken = details.get(ExifTags.Base.DateTimeOriginal) or exif.get(ExifTags.Base.DateTime)
        taken_at = dt.datetime.strptime(str(taken)[:19], "%Y:%m:%d %H:%M:%S") if taken else None
    return ImageFacts(width, height, image.format or "", taken_at, camera)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        return _stretch_depth(image).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(canvas, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _stretch_depth(image: Image.Image) -> Image.Image:
    """Bring 9–32-bit and float greys to 8 bits: integers by their bit depth, floats by range."""
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
        return "is not an image that can be read, or is damaged at its start"
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    return f"cannot be decoded: {str(error).strip() or type(error).__name__}"
