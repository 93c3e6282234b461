"""Colours that a file describes by numbers are those that it means."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import Image

from indexer.arrays import Pixels
from indexer.images.colour_codes import profile_of_codes, profile_of_gamma
from indexer.images.decode import load_image
from tests.sample import SAMPLE

COLOUR: Pixels = load_image(SAMPLE / "images" / "cat-1.jpg").pixels[::4, ::4]
USUAL = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
# From linear sRGB to the colour spaces with these codes, as ITU-R BT.2087 and others have it.
MATRICES = {
    1: np.eye(3),
    9: np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]),
    12: np.array([[0.8225, 0.1775, 0.0], [0.0332, 0.9668, 0.0], [0.0171, 0.0724, 0.9105]]),
}


def light(pixels: Pixels) -> npt.NDArray[np.float64]:
    signal = pixels / 255
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def coded(primaries: int, transfer: int) -> npt.NDArray[np.uint16]:
    """The picture in the signals of these codes, 16 bits deep."""
    linear = np.clip(light(COLOUR) @ MATRICES[primaries].T, 0, 1)
    if transfer == 16:
        root = (linear * 203 / 10000) ** 0.1593017578125
        signal = ((0.8359375 + 18.8515625 * root) / (1 + 18.6875 * root)) ** 78.84375
    elif transfer == 18:
        scene = (linear * 203 / 1000) ** (1 / 1.2)
        high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        signal = np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)
    elif transfer == 8:
        signal = linear
    else:
        low = linear <= 0.0031308
        signal = np.where(
            low, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
        )
    return np.asarray(np.rint(signal * 65535), np.uint16)


def check(data: bytes, original: Pixels = COLOUR, far: float = 3) -> None:
    loaded = load_image(data)
    assert loaded.pixels.shape == original.shape
    assert np.abs(loaded.pixels.astype(int) - original).mean() < far
    assert loaded.warnings == ()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(values: npt.NDArray[Any], *chunks: bytes) -> bytes:
    data = bytes(imagecodecs.png_encode(np.ascontiguousarray(values)))
    place = data.index(b"IDAT") - 4
    return data[:place] + b"".join(chunks) + data[place:]


def gamma(value: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(value * 100000)))


def primaries(values: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100000) for value in values)))


CODES = [(9, 16), (9, 18), (12, 13), (9, 14), (1, 8), (1, 13)]


@pytest.mark.parametrize("codes", CODES)
def test_heic_and_avif(codes: tuple[int, int]) -> None:
    values = coded(*codes)
    size = (values.shape[1], values.shape[0])
    file = pillow_heif.from_bytes(mode="RGB;16", size=size, data=values.tobytes())
    out = BytesIO()
    file.save(
        out,
        quality=98,
        chroma=444,
        color_primaries=codes[0],
        transfer_characteristics=codes[1],
        matrix_coefficients=9 if codes[0] == 9 else 6,
        full_range_flag=1,
        save_nclx_profile=True,
    )
    check(out.getvalue())
    deep = imagecodecs.avif_encode(
        values >> 6, level=95, bitspersample=10, primaries=codes[0], transfer=codes[1], matrix=1
    )
    check(bytes(deep))


@pytest.mark.parametrize("codes", CODES)
def test_png_with_codes(codes: tuple[int, int]) -> None:
    values = coded(*codes)
    check(png(values, chunk(b"cICP", bytes([*codes, 0, 1]))))
    check(png((values >> 8).astype(np.uint8), chunk(b"cICP", bytes([*codes, 0, 1]))), far=6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_with_a_gamma(dtype: Any) -> None:
    scale = np.iinfo(dtype).max
    for value, far in ((1.0, 3), (1 / 1.8, 4), (0.3, 4)):
        values = np.rint(light(COLOUR) ** value * scale).astype(dtype)
        check(png(values, gamma(value)), far=far)
    grey = light(np.asarray(Image.fromarray(COLOUR).convert("L")))
    shown = np.asarray(Image.fromarray(COLOUR).convert("L").convert("RGB"))
    check(png(np.rint(grey * scale).astype(dtype), gamma(1)), shown)


def test_png_with_primaries() -> None:
    exchanged = (*USUAL[:2], *USUAL[6:], *USUAL[4:6], *USUAL[2:4])
    check(png(COLOUR[:, :, ::-1], gamma(1 / 2.2), primaries(exchanged)))
    wide = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
    check(png(coded(12, 13), gamma(1 / 2.2), primaries(wide)))


@pytest.mark.parametrize(
    "chunks",
    [
        [gamma(1 / 2.2)],
        [gamma(1 / 2.2), primaries(USUAL)],
        [chunk(b"sRGB", b"\0"), gamma(1.0)],
        [gamma(0)],
        [gamma(40)],
        [gamma(1 / 2.2), primaries((0.0,) * 8)],
        [gamma(1 / 2.2), primaries((0.3, 0.3) * 4)],
        [primaries(USUAL[::-1])],
        [chunk(b"cICP", bytes([1, 13, 0, 1]))],
        [chunk(b"cICP", bytes([2, 2, 0, 1]))],
        [chunk(b"cICP", b"\1")],
    ],
)
def test_what_says_srgb_or_nonsense_changes_no_pixel(chunks: list[bytes]) -> None:
    np.testing.assert_array_equal(load_image(png(COLOUR, *chunks)).pixels, COLOUR)


def test_profiles_of_srgb_are_none() -> None:
    assert [profile_of_codes(*codes) for codes in ((1, 13), (2, 2), (1, 1), (6, 6))] == [None] * 4
    assert profile_of_gamma(0.45455, USUAL) is None
    assert profile_of_codes(9, 16) is not None
