"""Deep pictures: those with more than 8 bits a value, or values that are no whole numbers."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from indexer.arrays import BoolArray
from indexer.images.jpeg2000 import decode_values, read_header
from indexer.images.tones import Values, row_slices, to_8_bits

BITS, COMPRESSION, PHOTOMETRIC, PLANES = 258, 259, 262, 284  # tags of TIFF
WIDTH, HEIGHT, STRIP_BYTES, COLOUR_MAP, EXTRA, SAMPLE_FORMAT = 256, 257, 279, 320, 338, 339
UNCOMPRESSED, YCBCR = 1, 6  # their values
UNSIGNED, WHITE_IS_ZERO, SEPARATE, WEBP = 1, 0, 2, 50001
GREYS = {WHITE_IS_ZERO, 1}
SHORT_PALETTE = 256  # values below are of 8 bits, where 16 are due
SUBPICTURES = 330  # the tag of TIFF that points at them
PLAIN_BITS = {1, 2, 4, 8}
NO_VALUE = 1e30  # programs that do not declare it have such values stand for no data
HEADER = 1000  # bytes of a file in which its depth is found
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PPM_HEADER = re.compile(rb"P[36](?:\s+(?:#[^\n]*\n\s*)*\d+){2}\s+(?:#[^\n]*\n\s*)*(\d+)\s")


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow cuts the values of an opened picture to 8 bits, or misreads them."""
    if image.format == "TIFF":
        return _is_odd_tiff(getattr(image, "tag_v2", {}))
    if image.format not in ("PNG", "JPEG2000", "PPM") or image.fp is None:
        return False
    place = image.fp.tell()
    image.fp.seek(0)
    data = image.fp.read(HEADER)
    image.fp.seek(place)
    if image.format == "PNG":
        return bool(data[24:25] == b"\x10")
    if image.format == "JPEG2000":
        return not read_header(image.fp).is_plain
    header = PPM_HEADER.match(data)
    return image.mode == "RGB" and header is not None and int(header[1]) > 255


def _is_odd_tiff(tags: Any) -> bool:
    """Whether Pillow does not read the values of a TIFF as they are meant."""
    bits, formats = tags.get(BITS, (1,)), tags.get(SAMPLE_FORMAT, (UNSIGNED,))
    extra = tags.get(EXTRA, ())
    has_odd_channels = len(extra) > 1 or (
        len(extra) == 1 and (tags.get(PHOTOMETRIC) in GREYS or tags.get(PLANES) == SEPARATE)
    )
    has_short_palette = COLOUR_MAP in tags and max(tags[COLOUR_MAP]) < SHORT_PALETTE
    is_raw_ycbcr = (tags.get(PHOTOMETRIC), tags.get(COMPRESSION)) == (YCBCR, UNCOMPRESSED)
    return (
        not set(bits) <= PLAIN_BITS
        or (is_raw_ycbcr and sum(tags.get(STRIP_BYTES, ())) < 3 * tags[WIDTH] * tags[HEIGHT])
        or (PHOTOMETRIC not in tags and set(bits) != {1})
        or any(f != UNSIGNED for f in formats)
        or tags.get(COMPRESSION) == WEBP
        or has_odd_channels
        or has_short_palette
    )


def has_subpictures(image: ImageFile.ImageFile) -> bool:
    """Whether a TIFF has pictures below its pages."""
    return SUBPICTURES in getattr(image, "tag_v2", {})


def read_deep(data: bytes, file_format: str | None) -> Image.Image:
    """Return a deep picture in 8 bits, of mode L or RGB; RGBA where a part is transparent.

    Raises `ValueError` and others for what is not supported.
    """
    if file_format == "PPM" and data.startswith(b"P3"):
        return to_image(_read_plain_ppm(data))
    if file_format == "PPM":
        values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        return to_image(np.asarray(values)[:, :, ::-1])
    if file_format == "JPEG2000":
        decoded = decode_values(data, read_header(BytesIO(data)))
        return decoded if isinstance(decoded, Image.Image) else to_image(decoded)
    import imagecodecs

    return to_image(np.asarray(imagecodecs.png_decode(data)))


def _read_plain_ppm(data: bytes) -> Values:
    """Return the values (H, W, 3) of a PPM written as text."""
    numbers = [int(word) for word in re.sub(rb"#[^\n]*", b"", data[2:]).split()]
    width, height = numbers[:2]
    count = 3 * width * height
    if len(numbers) < 3 + count:
        raise ValueError("the file is truncated")
    return np.array(numbers[3 : 3 + count], np.uint32).reshape(height, width, 3)


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
    alpha, full = None, 1.0
    if values.ndim == 3 and values.shape[2] in (2, 4):
        full = full_opacity(values)
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
    rgba[:, :, 3] = 255 if alpha is None else _opacity(alpha, full)
    if valid is not None:
        rgba[~valid, 3] = 0
    del tones, alpha
    return Image.fromarray(rgba)


def full_opacity(values: Values) -> float:
    """Return what a pixel that hides its ground has as the last of its values (h, w, C).

    That is 1, or the largest value of as many bits as the values use.
    """
    if values.dtype == np.uint8:
        return 255.0
    most = float(np.nan_to_num(values[:, :, -1]).max(initial=0))
    if most <= 1:
        return 1.0
    if values.dtype.kind == "f":
        return most
    return float(2 ** max(8, int(values.max()).bit_length()) - 1)


def _opacity(alpha: Values, full: float) -> npt.NDArray[np.uint8]:
    """Return how opaque pixels (H, W) are, of 255."""
    opaque = np.empty(alpha.shape, np.uint8)
    for rows in row_slices(alpha):
        part = np.nan_to_num(alpha[rows].astype(np.float64))
        opaque[rows] = np.rint(np.clip(part / full, 0, 1) * 255)
    return opaque


def _valid(values: Values, no_data: float | None) -> BoolArray | None:
    """Return which pixels (H, W) have data: finite values, not all of them what stands for none.

    None where all have.
    """
    is_float = values.dtype.kind == "f"
    if not is_float and no_data is None:
        return None
    valid = np.empty(values.shape[:2], bool)
    for rows in row_slices(values):
        part = values[rows].reshape(*values[rows].shape[:2], -1)
        has_data = (abs(part) < NO_VALUE).all(axis=2) if is_float else np.ones(part.shape[:2], bool)
        if no_data is not None:
            has_data &= (part != no_data).any(axis=2)
        valid[rows] = has_data
    return None if valid.all() else valid
