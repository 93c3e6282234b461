"""Pixels at another size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from indexer.choices import RESAMPLINGS, Resampling
from indexer.images.resize import resize_pixels
from tests.pictures import QUADRANTS, is_upright, noise, quadrants


@pytest.mark.parametrize("resampling", RESAMPLINGS)
@pytest.mark.parametrize("size", [(48, 32), (30, 20), (7, 5), (200, 133), (48, 90)])
def test_the_picture_stays_the_same(resampling: Resampling, size: tuple[int, int]) -> None:
    resized = resize_pixels(np.asarray(quadrants()), size, resampling)
    assert resized.shape == (size[1], size[0], 3)
    assert resized.dtype == np.uint8
    assert is_upright(Image.fromarray(resized))
    assert len(QUADRANTS) == 2


@settings(max_examples=50)
@given(
    value=st.integers(0, 255),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    to=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_one_colour_stays_that_colour(
    value: int, size: tuple[int, int], to: tuple[int, int]
) -> None:
    pixels = np.full((size[1], size[0], 3), value, np.uint8)
    assert (resize_pixels(pixels, to) == value).all()


@pytest.mark.parametrize("to", [50, 40, 25, 10])
def test_stripes_too_fine_to_see_become_grey(to: int) -> None:
    stripes = np.zeros((100, 100, 3), np.uint8)
    stripes[:, ::2] = 255
    resized = resize_pixels(stripes, (to, to)).astype(int)
    assert np.abs(resized - 127).max() < 40


def test_a_long_strip_is_averaged_along_its_length_only() -> None:
    strip = np.zeros((20, 400, 3), np.uint8)
    strip[:, ::2] = 255
    resized = resize_pixels(strip, (100, 20)).astype(int)
    assert np.abs(resized - 127).max() <= 1


def test_the_right_size_is_left_alone() -> None:
    pixels = noise(1, 40, 30)
    assert resize_pixels(pixels, (40, 30)) is pixels


def test_bicubic_is_pillows() -> None:
    pixels = noise(2, 60, 45)
    expected = np.asarray(Image.fromarray(pixels).resize((33, 25), Image.Resampling.BICUBIC))
    assert (resize_pixels(pixels, (33, 25), "bicubic") == expected).all()
