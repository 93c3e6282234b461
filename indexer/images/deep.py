"""Deep pictures: those with more than 8 bits a value, or values that are no whole numbers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from io import BytesIO
from typing import IO, Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageFile

from indexer.arrays import BoolArray
from indexer.images.tones import Values, row_slices, to_8_bits
from indexer.images.upright import turn_upright

BITS, SAMPLE_FORMAT, NO_DATA = 258, 339, 42113  # tags of TIFF
UNSIGNED, WHITE_IS_ZERO, SEPARATE = 1, 0, 2
PICTURES = {0, 1, 2, 6}  # photometric interpretations: grey, RGB, YCbCr
SUBPICTURES = 330  # the tag of TIFF that points at them
PLAIN_BITS = {1, 2, 4, 8}
HEADER = 1000  # bytes of a file in which its depth is found
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PPM_HEADER = re.compile(rb"P[36](?:\s+(?:#[^\n]*\n\s*)*\d+){2}\s+(?:#[^\n]*\n\s*)*(\d+)\s")


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow cuts the values of an opened picture to 8 bits, or misreads them."""
    if image.format == "TIFF":
        tags: Any = getattr(image, "tag_v2", {})
        bits, formats = tags.get(BITS, (1,)), tags.get(SAMPLE_FORMAT, (UNSIGNED,))
        return not set(bits) <= PLAIN_BITS or any(f != UNSIGNED for f in formats)
    if image.format not in ("PNG", "JPEG2000", "PPM") or image.fp is None:
        return False
    place = image.fp.tell()
    image.fp.seek(0)
    data = image.fp.read(HEADER)
    image.fp.seek(place)
    if image.format == "PNG":
        return bool(data[24:25] == b"\x10")
    if image.format == "JPEG2000":
        return _jpeg2000_bits(data) > 8
    header = PPM_HEADER.match(data)
    return image.mode == "RGB" and header is not None and int(header[1]) > 255


def has_subpictures(image: ImageFile.ImageFile) -> bool:
    """Whether a TIFF has pictures below its pages."""
    return SUBPICTURES in getattr(image, "tag_v2", {})


def read_deep(data: bytes, file_format: str | None, page: int = 0) -> Image.Image:
    """Return a deep picture in 8 bits, of mode L or RGB; RGBA where a part is transparent.

    A page of a TIFF comes out upright. Raises `ValueError` and others for what is not supported.
    """
    if file_format == "TIFF":
        with open_tiff(BytesIO(data)) as file:
            opened = file.pages[page]
            return read_page(opened, orientation_of(opened))
    if file_format == "PPM":
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        return to_image(np.asarray(values)[:, :, ::-1])
    import imagecodecs

    decode = imagecodecs.png_decode if file_format == "PNG" else imagecodecs.jpeg2k_decode
    return to_image(np.asarray(decode(data)))


@contextlib.contextmanager
def open_tiff(stream: IO[bytes]) -> Iterator[Any]:
    """Yield the `TiffFile` of a stream, which is left where it was."""
    import tifffile

    place = stream.tell()
    stream.seek(0)
    try:
        with tifffile.TiffFile(stream) as file:
            yield file
    finally:
        stream.seek(place)


def to_image(
    values: Values, *, no_data: float | None = None, white_is_zero: bool = False
) -> Image.Image:
    """Return pixel values of any type in 8 bits, of mode L or RGB; RGBA where some have no data.

    Of two channels the second, of four the last one is transparency.
    """
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] > 4):
        raise ValueError(f"pictures of {' x '.join(map(str, values.shape))} values")
    alpha = None
    if values.ndim == 3 and values.shape[2] in (2, 4):
        values, alpha = values[:, :, :-1], values[:, :, -1]
        values = values[:, :, 0] if values.shape[2] == 1 else values
    valid = _valid(values, no_data)
    if values.dtype == np.uint8:
        tones = 255 - values if white_is_zero else values
    else:
        tones = to_8_bits(values, valid, white_is_zero=white_is_zero)
    del values  # which takes more memory than all that follows
    if alpha is None and valid is None:
        return Image.fromarray(tones)
    rgba = np.empty((*tones.shape[:2], 4), np.uint8)
    rgba[:, :, :3] = tones if tones.ndim == 3 else tones[:, :, None]
    rgba[:, :, 3] = 255 if alpha is None else _opacity(alpha)
    if valid is not None:
        rgba[~valid, 3] = 0
    del tones, alpha
    return Image.fromarray(rgba)


def find_subpicture(file: Any, area: int) -> Any:
    """Return the largest picture below the pages of a TIFF, None where none exceeds `area` pixels.

    Camera RAW keeps its preview there, and thumbnails come with the picture itself.
    """
    below = [sub for page in file.pages for sub in (page.pages or ()) if _is_picture(sub)]
    largest = max(below, key=lambda page: page.imagewidth * page.imagelength, default=None)
    if largest is None or largest.imagewidth * largest.imagelength <= area:
        return None
    return largest


def _is_picture(page: Any) -> bool:
    """Whether a page of a TIFF is something to look at, and not the values of a sensor."""
    return page.photometric is not None and int(page.photometric) in PICTURES


def orientation_of(page: Any) -> object:
    """Return the EXIF orientation of a page of a TIFF, None where it has none."""
    tag = page.tags.get(ExifTags.Base.Orientation)
    return tag.value if tag else None


def no_data_of(page: Any) -> float | None:
    """Return the value of GDAL's tag for pixels without data."""
    tag = page.tags.get(NO_DATA)
    with contextlib.suppress(AttributeError, ValueError):
        return float(str(tag.value).strip("\0 "))
    return None


def read_page(page: Any, orientation: object) -> Image.Image:
    """Return a page of a TIFF in 8 bits and upright, as `read_deep` does."""
    values = np.asarray(page.asarray())
    if page.planarconfig == SEPARATE and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    return to_image(
        turn_upright(values, orientation),
        no_data=no_data_of(page),
        white_is_zero=page.photometric == WHITE_IS_ZERO,
    )


def _jpeg2000_bits(data: bytes) -> int:
    """Return how many bits the first component has, 8 where the file does not say."""
    box = data.find(b"ihdr", 0, 200)
    place = box + 14 if box >= 0 else 42  # after the size of the image, or in the SIZ marker
    return (data[place] & 0x7F) + 1 if len(data) > place else 8


def _opacity(alpha: Values) -> npt.NDArray[np.uint8]:
    """Return how opaque pixels (H, W) are, of 255."""
    full = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1.0
    opaque = np.empty(alpha.shape, np.uint8)
    for rows in row_slices(alpha):
        opaque[rows] = np.rint(np.clip(alpha[rows].astype(np.float64) / full, 0, 1) * 255)
    return opaque


def _valid(values: Values, no_data: float | None) -> BoolArray | None:
    """Return which pixels (H, W) have data: finite values, and not the one that says otherwise.

    None where all have.
    """
    if values.dtype.kind != "f" and no_data is None:
        return None
    valid = np.empty(values.shape[:2], bool)
    for rows in row_slices(values):
        part = values[rows]
        has_data = np.isfinite(part) if part.dtype.kind == "f" else np.ones(part.shape, bool)
        if no_data is not None:
            has_data &= part != no_data
        valid[rows] = has_data if has_data.ndim == 2 else has_data.all(axis=2)
    return None if valid.all() else valid
