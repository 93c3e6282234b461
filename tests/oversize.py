"""Pictures over a small pixel limit, of every kind that can be read at a smaller size."""

from __future__ import annotations

import math
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image, ImageFilter

from indexer.arrays import Pixels
from indexer.images.decode import LoadedImage, load_image
from tests.pictures import photo

LIMIT = 10_000
WIDTH, HEIGHT = 300, 201  # no multiples of anything
SOFT = ImageFilter.GaussianBlur(2)  # large pictures have little detail from pixel to pixel
COLOUR: Pixels = np.asarray(photo("coffee").resize((WIDTH, HEIGHT)).filter(SOFT))
GREY: Pixels = np.asarray(Image.fromarray(COLOUR).convert("L"))
REMEDY = "--oversize reduce reads it at a smaller size"


def pillow(image: Image.Image | Pixels, file_format: str, **options: Any) -> bytes:
    out = BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(out, file_format, **options)
    return out.getvalue()


def tiff(values: npt.NDArray[Any], **options: Any) -> bytes:
    out = BytesIO()
    tifffile.imwrite(out, values, **options)
    return out.getvalue()


def jpeg2000(values: npt.NDArray[Any], **options: Any) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(values, level=0, codecformat="jp2", **options))


def reduced(data: bytes, limit: int = LIMIT, **options: Any) -> LoadedImage:
    return load_image(data, max_pixels=limit, oversize="reduce", **options)


def likeness(loaded: LoadedImage, original: Pixels) -> float:
    height, width = loaded.pixels.shape[:2]
    image = Image.fromarray(original).convert("RGB")
    small = np.asarray(image.resize((width, height), Image.Resampling.BOX))
    return float(np.corrcoef(small.ravel(), loaded.pixels.ravel())[0, 1])


def check(loaded: LoadedImage, original: Pixels = COLOUR, limit: int = LIMIT) -> None:
    height, width = loaded.pixels.shape[:2]
    assert limit / 8 < width * height <= limit
    assert (loaded.facts.width, loaded.facts.height) == (original.shape[1], original.shape[0])
    assert likeness(loaded, original) >= 0.98
    tones = loaded.pixels.astype(float).mean()
    assert tones == pytest.approx(np.asarray(original, float).mean(), abs=6)


PLAIN = {
    "jpeg": pillow(COLOUR, "JPEG", quality=95),
    "grey jpeg": pillow(GREY, "JPEG", quality=95),
    "cmyk jpeg": pillow(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", quality=95),
    "jpeg 2000": jpeg2000(COLOUR),
    "jpeg 2000 in tiles": pillow(COLOUR, "JPEG2000", tile_size=(128, 128)),
    "bare jpeg 2000": bytes(imagecodecs.jpeg2k_encode(COLOUR, level=0, codecformat="j2k")),
    "deep grey jpeg 2000": jpeg2000(GREY.astype(np.uint16) * 200),
    "tiff of one strip": tiff(COLOUR),
    "tiff of strips": tiff(COLOUR, rowsperstrip=7),
    "compressed tiff of strips": tiff(COLOUR, rowsperstrip=16, compression="zlib", predictor=True),
    "tiff of one compressed strip": tiff(COLOUR, rowsperstrip=HEIGHT, compression="lzw"),
    "tiff of tiles": tiff(COLOUR, tile=(64, 48), compression="zlib"),
    "plain tiff of tiles": tiff(COLOUR, tile=(64, 48)),
    "big tiff": tiff(COLOUR, tile=(32, 32), bigtiff=True),
    "tiff of other bytes": tiff(GREY.astype(np.uint16) << 6, byteorder=">"),
    "tiff of jpegs": tiff(COLOUR, tile=(64, 64), compression="jpeg", subsampling=(2, 2)),
    "deep tiff": tiff(GREY.astype(np.uint16) << 8, tile=(64, 64), compression="zlib"),
    "deep colour tiff": tiff(COLOUR.astype(np.uint16) << 2, rowsperstrip=10, compression="lzw"),
    "float tiff": tiff(GREY.astype(np.float32) / 255),
    "signed tiff": tiff(GREY.astype(np.int32) * 1000, tile=(64, 64)),
    "white is zero": tiff(255 - GREY, photometric="miniswhite"),
    "palette tiff": pillow(Image.fromarray(COLOUR).quantize(256), "TIFF", compression="tiff_lzw"),
    "cmyk tiff": pillow(Image.fromarray(COLOUR).convert("CMYK"), "TIFF", compression="tiff_lzw"),
    "tiff with alpha": tiff(np.dstack([COLOUR, np.full_like(GREY, 255)]), tile=(64, 64)),
}


def pyramid(
    values: Pixels, *, marks: bool = False, shares: tuple[int, ...] = (2, 4), **options: Any
) -> bytes:
    """A TIFF with smaller copies below its page; `marks` makes them darker, to be told apart."""
    out = BytesIO()
    height, width = values.shape[:2]
    with tifffile.TiffWriter(out) as writer:
        writer.write(values, subifds=len(shares), tile=(32, 32), **options)
        for share in shares:
            size = (math.ceil(width / share), math.ceil(height / share))
            copy = np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BOX))
            writer.write(copy // share if marks else copy, subfiletype=1, tile=(32, 32))
    return out.getvalue()
