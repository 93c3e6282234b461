"""JPEG 2000: colours and channels are what the boxes before the pixels say."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from indexer.arrays import Pixels
from indexer.images.decode import load_image
from indexer.images.jpeg2000 import read_header
from tests.pictures import swapped_profile
from tests.sample import SAMPLE

COLOUR: Pixels = load_image(SAMPLE / "images" / "cat-1.jpg").pixels[::4, ::4]
GREY: Pixels = np.asarray(Image.fromarray(COLOUR).convert("L"))
SRGB, YCC, CMYK = 16, 18, 12
COLOURS = [(0, 0, 1), (1, 0, 2), (2, 0, 3)]
Channel = tuple[int, int, int]


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def jp2(
    values: npt.NDArray[Any],
    number: int = SRGB,
    channels: list[Channel] | None = None,
    profile: bytes | None = None,
) -> bytes:
    height, width, count = values.shape
    bits = 8 * values.dtype.itemsize
    header = box(b"ihdr", struct.pack(">IIHBBBB", height, width, count, bits - 1, 7, 0, 0))
    if profile is None:
        header += box(b"colr", b"\1\0\0" + struct.pack(">I", number))
    else:
        header += box(b"colr", b"\2\0\0" + profile)
    if channels:
        body = b"".join(struct.pack(">3H", *channel) for channel in channels)
        header += box(b"cdef", struct.pack(">H", len(channels)) + body)
    stream = imagecodecs.jpeg2k_encode(values, level=0, codecformat="j2k", mct=False)
    start = box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ")
    return start + box(b"jp2h", header) + box(b"jp2c", bytes(stream))


def check(data: bytes, original: Pixels = COLOUR, far: float = 3) -> None:
    shown = original if original.ndim == 3 else np.repeat(original[:, :, None], 3, axis=2)
    loaded = load_image(data)
    assert loaded.pixels.shape == shown.shape
    assert np.abs(loaded.pixels.astype(int) - shown).mean() < far


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colours_and_channels(dtype: Any) -> None:
    scale = np.iinfo(dtype).max // 255
    picture = COLOUR.astype(dtype) * scale
    other = GREY[::-1, :, None].astype(dtype) * scale
    opaque = np.full_like(other, np.iinfo(dtype).max)
    ycc = np.asarray(Image.fromarray(COLOUR).convert("YCbCr")).astype(dtype) * scale
    inks = np.concatenate([255 - COLOUR, np.zeros_like(COLOUR[:, :, :1])], axis=2)
    check(jp2(ycc, YCC))
    check(jp2(inks.astype(dtype) * scale, CMYK), far=30)
    check(jp2(np.concatenate([picture, opaque], axis=2), channels=[*COLOURS, (3, 1, 0)]))
    check(jp2(np.concatenate([picture, other], axis=2), channels=[*COLOURS, (3, 65535, 65535)]))
    reversed_colours = [(0, 0, 3), (1, 0, 2), (2, 0, 1)]
    check(jp2(np.ascontiguousarray(picture[:, :, ::-1]), channels=reversed_colours))
    check(jp2(np.ascontiguousarray(picture[:, :, ::-1]), profile=swapped_profile()), far=8)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits(bits: int) -> None:
    values = GREY >> (8 - bits)
    data = imagecodecs.jpeg2k_encode(values, level=0, codecformat="j2k", bitspersample=bits)
    check(bytes(data), (values * (255 // (2**bits - 1))).astype(np.uint8))


@pytest.mark.parametrize("cut", range(0, 120, 7))
def test_a_header_that_is_cut_anywhere_is_read_as_far_as_it_goes(cut: int) -> None:
    data = jp2(COLOUR, channels=COLOURS)
    stream = BytesIO(data[:cut])
    stream.seek(cut // 2)
    header = read_header(stream)
    assert stream.tell() == cut // 2
    assert header.profile is None
