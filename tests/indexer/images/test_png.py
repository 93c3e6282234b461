"""PNG: the tone that is transparent, and pixels that are missing."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import ExifTags, Image

from indexer.errors import DamagedImageError, UnreadableImageError
from indexer.images.decode import load_image
from indexer.images.png import SIGNATURE
from tests.sample import SAMPLE

COLOUR = load_image(SAMPLE / "images" / "cat-1.jpg").pixels[::4, ::4]
HEIGHT, WIDTH = COLOUR.shape[:2]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    rows: list[bytes],
    depth: int = 8,
    colour: int = 2,
    *,
    extra: bytes = b"",
    compress: Callable[[bytes], bytes] = zlib.compress,
) -> bytes:
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0)
    pixels = compress(b"".join(b"\0" + row for row in rows))
    return b"".join(
        [SIGNATURE, chunk(b"IHDR", header), extra, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    )


ROWS = [row.tobytes() for row in COLOUR]


@pytest.mark.parametrize("depth", [2, 4, 8])
def test_a_transparent_tone_of_few_bits(depth: int) -> None:
    tones = (COLOUR[:, :, 1] >> (8 - depth)).astype(np.uint8)
    tones[:30, :40] = 2
    bits = np.unpackbits(tones[:, :, None], axis=2)[:, :, 8 - depth :]
    rows = [row.tobytes() for row in np.packbits(bits.reshape(HEIGHT, -1), axis=1)]
    data = png(rows, depth, 0, extra=chunk(b"tRNS", struct.pack(">H", 2)))
    expected = np.where(tones == 2, 255, tones * (255 // (2**depth - 1)))
    np.testing.assert_array_equal(load_image(data).pixels[:, :, 0], expected)


def test_pixels_that_are_missing_are_damage() -> None:
    np.testing.assert_array_equal(load_image(png(ROWS)).pixels, COLOUR)
    short = png(ROWS[: HEIGHT // 2])
    with pytest.raises(DamagedImageError, match=r"pixels are missing .*--damaged take"):
        load_image(short)
    taken = load_image(short, damaged="take")
    np.testing.assert_array_equal(taken.pixels[: HEIGHT // 2], COLOUR[: HEIGHT // 2])
    assert taken.warnings == ("is damaged (pixels are missing at its end)",)
    nearly = png([*ROWS[:-1], ROWS[-1][:-1]])
    with pytest.raises(UnreadableImageError):
        load_image(nearly)


@pytest.mark.parametrize("size", [1, 3, HEIGHT])
def test_a_picture_that_ends_in_black_is_whole(size: int) -> None:
    rows = [*ROWS[:-size], *[bytes(3 * WIDTH)] * size]
    assert load_image(png(rows)).warnings == ()


def test_damage_is_not_taken_for_that_of_exif() -> None:
    def spoil(rows: bytes) -> bytes:
        return zlib.compress(rows)[:-4] + b"\1\2\3\4"

    with pytest.raises(UnreadableImageError, match="broken data stream"):
        load_image(png(ROWS, compress=spoil))


def turned_block() -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Model] = "Scanner"
    return exif.tobytes()


def as_text(block: bytes) -> bytes:
    """As ImageMagick writes it."""
    digits = block.hex()
    lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    text = f"\nexif\n{len(block):8}\n{lines}\n".encode()
    return chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("is_text", [False, True])
def test_exif_turns_pictures_of_every_depth(dtype: Any, is_text: bool) -> None:
    stored = np.ascontiguousarray(np.rot90(COLOUR)).astype(dtype) * (np.iinfo(dtype).max // 255)
    block = turned_block()
    extra = as_text(block) if is_text else chunk(b"eXIf", block[6:])
    data = bytes(imagecodecs.png_encode(stored))
    place = data.index(b"IDAT") - 4
    loaded = load_image(data[:place] + extra + data[place:])
    np.testing.assert_array_equal(loaded.pixels, COLOUR)
    facts = loaded.facts
    assert (facts.width, facts.height, facts.camera) == (WIDTH, HEIGHT, "Scanner")


@pytest.mark.parametrize(
    "extra", [chunk(b"eXIf", b"damaged" * 9), as_text(b"damaged" * 9)], ids=["chunk", "text"]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_damaged_block_leaves_the_picture_as_it_is(dtype: Any, extra: bytes) -> None:
    data = bytes(imagecodecs.png_encode(COLOUR.astype(dtype) * (np.iinfo(dtype).max // 255)))
    place = data.index(b"IDAT") - 4
    loaded = load_image(data[:place] + extra + data[place:])
    np.testing.assert_array_equal(loaded.pixels, COLOUR)
    assert any("EXIF block is damaged" in warning for warning in loaded.warnings)
