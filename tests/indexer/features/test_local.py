from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from indexer.arrays import Pixels
from indexer.features.local import LENGTH, MAX_POINTS, LocalFeatures, find_local_features
from tests.pictures import noise
from tests.sample import SAMPLE


def picture(name: str) -> Pixels:
    return np.asarray(Image.open(SAMPLE / "images" / name).convert("RGB"))


def distances(a: LocalFeatures, b: LocalFeatures) -> tuple[float, float]:
    """How far b's nearest keypoint lies from those of a, in pixels and in cosine, in the median."""
    gaps = np.hypot(*(a.points[:, None, :2] - b.points[None, :, :2]).transpose(2, 0, 1))
    nearest = gaps.argmin(axis=1)
    products = (a.exact * b.exact[nearest]).sum(axis=1) / LENGTH**2
    return float(np.median(gaps.min(axis=1))), float(np.median(products))


def test_descriptors_have_one_length_and_points_lie_in_the_image() -> None:
    found = find_local_features(picture("coffee-1.jpg"))
    width, height = found.size
    assert 50 < len(found) <= MAX_POINTS
    np.testing.assert_allclose(np.linalg.norm(found.exact, axis=1), LENGTH, rtol=0.01)
    assert (found.points[:, :2] >= 0).all()
    assert (found.points[:, :2] <= [width, height]).all()


def test_products_do_not_depend_on_how_they_are_added_up() -> None:
    rng = np.random.default_rng(0)
    found = find_local_features(picture("bricks-1.jpg"))
    shuffled = rng.permutation(128)
    whole = found.exact @ found.exact.T
    np.testing.assert_array_equal(whole, found.exact[:, shuffled] @ found.exact[:, shuffled].T)
    np.testing.assert_array_equal(whole[:7], found.exact[:7] @ found.exact.T)


def test_points_are_in_pixels_of_the_size_asked_for() -> None:
    pixels = picture("coffee-1.jpg")
    height, width = pixels.shape[:2]
    larger = find_local_features(pixels, (4 * width, 4 * height))
    np.testing.assert_allclose(larger.points[:, :3], find_local_features(pixels).points[:, :3] * 4)


@pytest.mark.parametrize("name", ["coffee-1.jpg", "cat-1.jpg", "clock-1.jpg"])
def test_mirrored_features_are_those_of_the_mirror_image(name: str) -> None:
    pixels = picture(name)
    expected = find_local_features(np.ascontiguousarray(pixels[:, ::-1]))
    gap, cosine = distances(find_local_features(pixels).mirrored(), expected)
    assert gap < 1
    assert cosine > 0.97
    assert distances(find_local_features(pixels), expected)[1] < 0.9


@pytest.mark.parametrize("name", ["coffee-1.jpg", "cat-1.jpg", "clock-1.jpg"])
def test_inverted_features_are_those_of_the_negative(name: str) -> None:
    pixels = picture(name)
    expected = find_local_features(255 - pixels)
    gap, cosine = distances(find_local_features(pixels).inverted(), expected)
    assert gap < 1
    assert cosine > 0.97
    assert distances(find_local_features(pixels), expected)[1] < 0.9


def test_twice_mirrored_is_the_same() -> None:
    found = find_local_features(noise(1, 120, 90))
    again = found.mirrored().mirrored()
    np.testing.assert_array_equal(again.descriptors, found.descriptors)
    np.testing.assert_allclose(again.points, found.points, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (40, 30)])
def test_a_plain_image_has_no_keypoints(size: tuple[int, int]) -> None:
    found = find_local_features(np.full((size[1], size[0], 3), 90, np.uint8))
    assert len(found) == 0
    assert found.descriptors.shape == (0, 128)
    assert len(found.mirrored()) == 0
