"""Pixel values of every type and range become the picture that they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.images.decode import load_image
from indexer.images.deep import to_image
from indexer.images.tones import to_8_bits
from tests.sample import SAMPLE

COLOUR = load_image(SAMPLE / "images" / "cat-1.jpg").pixels[::2, ::2]
GREY = COLOUR[:, :, 1]
INTEGERS = ("uint8", "uint16", "uint32", "int8", "int16", "int32")
FLOATS = ("float16", "float32", "float64")


def likeness(tones: npt.NDArray[Any], original: npt.NDArray[Any]) -> float:
    return float(np.corrcoef(tones.ravel().astype(float), original.ravel().astype(float))[0, 1])


@st.composite
def stored(draw: st.DrawFn) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """A picture as an instrument stores it, and what it shows."""
    original = draw(st.sampled_from([GREY, COLOUR]))
    dtype = np.dtype(draw(st.sampled_from((*INTEGERS, *FLOATS))))
    if dtype.kind == "f":
        # Half floats have 11 bits: far from zero they hold no picture of 8.
        span = draw(st.sampled_from([1e-3, 1.0, 255.0] if dtype == np.float16 else [1e-6, 1, 1e9]))
        offset = draw(st.sampled_from([0.0, -0.5, 1.0])) * span
        largest = float(np.finfo(dtype).max)
    else:
        limits: Any = np.iinfo(str(dtype))
        bits = draw(st.integers(7 if dtype == np.int8 else 8, limits.bits - (dtype.kind == "i")))
        span, largest = 2.0**bits - 1, float(limits.max)
        offset = float(draw(st.integers(int(limits.min), int(limits.max - span))))
    values = (original / 255 * span + offset).astype(dtype)
    count = int(draw(st.sampled_from([0, 0.001])) * values.size)
    if count:
        random = np.random.default_rng(draw(st.integers(0, 9)))
        hot = min(offset + span * draw(st.floats(1, 100)), largest)
        values.flat[random.choice(values.size, count, replace=False)] = hot
    return values, original


@given(stored(), st.booleans())
@settings(max_examples=200, deadline=None)
def test_what_is_stored_is_what_is_seen(
    case: tuple[npt.NDArray[Any], npt.NDArray[Any]], white_is_zero: bool
) -> None:
    values, original = case
    tones = to_8_bits(values, white_is_zero=white_is_zero)
    assert tones.dtype == np.uint8
    assert tones.shape == values.shape
    assert likeness(tones, original) * (-1 if white_is_zero else 1) >= 0.98


def test_a_deep_copy_is_as_bright_as_its_8_bit_original() -> None:
    for scale, dtype in (
        (1, "uint16"),
        (257, "uint16"),
        (1 / 255, "float32"),
        (16843009, "uint32"),
    ):
        assert abs(to_8_bits((COLOUR * float(scale)).astype(dtype)).astype(int) - COLOUR).max() <= 1


@pytest.mark.parametrize(
    ("full", "dtype"), [(1.0, np.float32), (255, np.float64), (1023, np.uint16), (4095, np.int32)]
)
def test_values_a_little_above_their_range_do_not_darken_the_picture(
    full: float, dtype: type
) -> None:
    values = COLOUR * (full / 255)
    values[5:40] *= full / values[5:40].max() * 1.04
    tones = to_8_bits(values.astype(dtype))
    assert abs(tones[40:].astype(int) - COLOUR[40:]).max() <= 2


def test_many_values_above_a_power_of_two_are_kept_apart() -> None:
    bright = np.minimum(COLOUR, 217)
    values = bright.astype(np.uint16) * 2 + 101
    assert 511 < values.max() < 511 * 1.05
    assert likeness(to_8_bits(values), bright) > 0.999


def test_a_drawing_of_few_pixels_is_no_outlier() -> None:
    values = np.zeros((100, 100), np.uint16)
    values[50, 40:50] = 60_000
    tones = to_8_bits(values)
    assert (tones[50, 40:50] > 200).all()
    assert np.count_nonzero(tones) == 10


def test_pixels_without_data_are_transparent_and_do_not_count() -> None:
    values = GREY.astype(np.float32) * 10
    values[:20, :30] = -9999
    values[30:40, 60:70] = np.nan
    image = to_image(values, no_data=-9999)
    assert image.mode == "RGBA"
    alpha = np.asarray(image)[:, :, 3]
    assert not alpha[:20, :30].any()
    assert not alpha[30:40, 60:70].any()
    assert likeness(np.asarray(image)[:, :, 0][alpha > 0], GREY[alpha > 0]) > 0.999


@pytest.mark.parametrize(
    ("fill", "dtype"),
    [
        (-32768, np.int16),
        (-9999, np.float32),
        (-600, np.int16),
        (1e20, np.float32),
        (65535, np.uint16),
        (2**32 - 1, np.uint32),
    ],
)
@pytest.mark.parametrize("rows", [2, 20])
def test_a_value_far_from_all_others_stands_for_no_data(
    fill: float, dtype: type, rows: int
) -> None:
    values: npt.NDArray[Any] = GREY.astype(dtype) * 2 + 3
    values[:rows] = fill
    tones = to_8_bits(values)
    assert len(np.unique(tones[:rows])) == 1
    assert likeness(tones[rows:], GREY[rows:]) > 0.999
    assert tones[rows:].max() > 150


def test_zeros_around_a_picture_far_from_zero() -> None:
    values = GREY.astype(np.uint16) + 30_000
    values[:20] = 0
    tones = to_8_bits(values)
    assert not tones[:20].any()
    assert likeness(tones[20:], GREY[20:]) > 0.999


def test_white_shapes_on_a_dark_picture_stay() -> None:
    values = GREY.astype(np.uint16) * 100
    values[20:40, 30:60] = 65535
    tones = to_8_bits(values)
    assert (tones[20:40, 30:60] == 255).all()
    assert tones[50:].max() < 110


@pytest.mark.parametrize("values", [np.full((4, 4), 7, np.uint16), np.full((4, 4), np.nan)])
def test_values_without_a_picture(values: npt.NDArray[Any]) -> None:
    assert len(np.unique(to_8_bits(values))) == 1


def test_complex_values_are_refused() -> None:
    with pytest.raises(ValueError, match="complex"):
        to_8_bits(np.zeros((2, 2), np.complex64))


@pytest.mark.parametrize(
    ("value", "dtype", "tone"),
    [
        (65535, np.uint16, 255),
        (1023, np.uint16, 255),
        (255, np.uint8, 255),
        (127, np.int8, 255),
        (0, np.uint16, 0),
        (1.0, np.float32, 255),
        (0.0, np.float64, 0),
        (-5, np.int16, 0),
        (100, np.uint16, 100),
    ],
)
def test_a_single_value_is_scaled_by_its_bits(value: float, dtype: type, tone: int) -> None:
    assert (to_8_bits(np.full((4, 5), value, dtype)) == tone).all()


def test_positive_int8_uses_seven_bits() -> None:
    values = np.arange(128, dtype=np.int8).reshape(8, 16)
    assert to_8_bits(values).max() == 255
