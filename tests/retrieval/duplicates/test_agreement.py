from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.arrays import Pixels
from retrieval.duplicates.agreement import agreement
from retrieval.picture import Picture
from tests.pictures import PHOTOS, photo

SAME = np.eye(3)


def picture(pixels: Pixels) -> Picture:
    return Picture(pixels, (pixels.shape[1], pixels.shape[0]))


def pixels_of(name: str, size: tuple[int, int] = (300, 200)) -> Pixels:
    return np.asarray(photo(name).resize(size))


@given(st.floats(0.5, 1.2), st.floats(-20, 20))
@settings(max_examples=20)
def test_brightness_and_contrast_do_not_matter(contrast: float, brightness: float) -> None:
    own = pixels_of("coffee")
    changed = np.clip(own * contrast + brightness, 0, 255).astype(np.uint8)
    assert agreement(picture(own), picture(changed), SAME) > 0.98


@pytest.mark.parametrize("other", PHOTOS[1:])
def test_other_photos_do_not_agree(other: str) -> None:
    found = agreement(picture(pixels_of("astronaut")), picture(pixels_of(other)), SAME)
    assert found < 0.6


def test_a_part_agrees_at_its_place_at_another_size() -> None:
    whole = pixels_of("chelsea", (600, 400))
    part = whole[100:250, 200:500]
    doubled = np.repeat(np.repeat(part, 2, axis=0), 2, axis=1)
    to_whole = np.array([[0.5, 0, 200], [0, 0.5, 100], [0, 0, 1]])
    assert agreement(picture(doubled), picture(whole), to_whole) > 0.99
    aside = np.array([[0.5, 0, 160], [0, 0.5, 70], [0, 0, 1]])
    assert agreement(picture(doubled), picture(whole), aside) < 0.9


def test_what_lies_outside_is_left_out() -> None:
    whole = pixels_of("chelsea", (600, 400))
    shifted = np.array([[1, 0, -300], [0, 1, 0], [0, 0, 1]])
    assert agreement(picture(whole), picture(whole[:, :300]), shifted) < 0.9
    right = picture(whole[:, 300:])
    assert agreement(picture(whole), right, shifted) > 0.98  # windows reach across the edge
    far = np.array([[1, 0, 5000], [0, 1, 0], [0, 0, 1]])
    assert agreement(picture(whole), right, far) == 0


def test_plain_pictures_have_nothing_to_compare() -> None:
    plain = picture(np.full((200, 300, 3), 90, np.uint8))
    assert agreement(plain, picture(np.full((200, 300, 3), 200, np.uint8)), SAME) == 0
    assert agreement(plain, picture(pixels_of("coffee")), SAME) < 0.5
