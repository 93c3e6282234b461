from __future__ import annotations

from itertools import combinations, permutations, product

import cv2
import numpy as np
import pytest
from PIL import Image

from benchmarks.pages import KINDS, cut_part, proves
from indexer.arrays import BoolArray, Pixels
from indexer.features.local import find_local_features
from indexer.features.regions import Region
from retrieval.geometry import (
    FREE_INLIERS,
    GeometricMatch,
    QueryKeypoints,
    find_match,
    shift_match,
)
from retrieval.transform import Points, Transform
from tests.pictures import noise
from tests.sample import SAMPLE, SCENES, SUBJECTS

CANVAS = (900, 700)


def picture(name: str) -> Pixels:
    return np.asarray(Image.open(SAMPLE / "images" / name).convert("RGB"))


def match(query: Pixels, image: Pixels) -> GeometricMatch | None:
    return find_match(find_local_features(query), find_local_features(image))


def warped(pixels: Pixels, transform: np.ndarray) -> Pixels:
    ground = cv2.resize(noise(5, 60, 50), CANVAS, interpolation=cv2.INTER_CUBIC)
    return np.asarray(
        cv2.warpPerspective(
            pixels, transform, CANVAS, ground, cv2.INTER_AREA, cv2.BORDER_TRANSPARENT
        ),
        np.uint8,
    )


def turned(degrees: float, scale: float) -> np.ndarray:
    rotation = cv2.getRotationMatrix2D((200, 150), degrees, scale)
    rotation[:, 2] += (220, 180)
    return np.vstack([rotation, [0, 0, 1]])


ASLANT = np.array([[0.9, 0.1, 120], [-0.05, 0.8, 150], [0.0004, 0.0002, 1]])


@pytest.mark.parametrize(
    "transform",
    [turned(0, 1), turned(90, 0.8), turned(180, 1.2), turned(-37, 0.6), ASLANT],
    ids=["moved", "90", "180", "turned and smaller", "aslant"],
)
@pytest.mark.parametrize("name", ["coffee-1.jpg", "cat-1.jpg"])
def test_a_picture_is_proved_and_its_corners_are_found(name: str, transform: np.ndarray) -> None:
    pixels = picture(name)
    found = match(pixels, warped(pixels, transform))
    assert found is not None
    assert found.is_proof
    height, width = pixels.shape[:2]
    corners = np.array([[[0, 0]], [[width, 0]], [[width, height]], [[0, height]]], float)
    expected = cv2.perspectiveTransform(corners, transform)[:, 0]
    np.testing.assert_allclose(np.array(found.quad), expected, atol=6)
    places = cv2.perspectiveTransform(found.points[:, None, :2], found.transform)[:, 0]
    assert np.hypot(*(places - found.points[:, 2:]).T).max() < 12


def test_a_part_finds_its_place() -> None:
    pixels = picture("coffee-1.jpg")
    part = Region(150, 60, 350, 230)
    found = match(np.ascontiguousarray(pixels[part.y0 : part.y1, part.x0 : part.x1]), pixels)
    assert found is not None
    assert found.is_proof
    box = found.box_in(pixels.shape[1], pixels.shape[0])
    assert box is not None
    assert box.iou(part) > 0.9


def test_a_mirrored_picture_is_proved_by_the_mirrored_query_only() -> None:
    pixels = picture("cat-1.jpg")
    height, width = pixels.shape[:2]
    query = QueryKeypoints.of(pixels, is_picture=False)
    image = find_local_features(np.ascontiguousarray(pixels[:, ::-1]))
    plain = query.find_match(image, inverted=False, mirrored=False)
    assert plain is None or not plain.is_proof
    found = query.find_match(image)
    assert found is not None
    assert found.is_proof
    assert found.mirrored
    expected = [(width, 0), (0, 0), (0, height), (width, height)]
    np.testing.assert_allclose(np.array(found.quad), expected, atol=4)


def test_a_negative_is_proved_by_the_negative_query_only() -> None:
    pixels = picture("coffee-1.jpg")
    height, width = pixels.shape[:2]
    query = QueryKeypoints.of(pixels, is_picture=True)
    image = find_local_features(255 - pixels)
    plain = query.find_match(image, inverted=False)
    assert plain is None or not plain.is_proof
    found = query.find_match(image)
    assert found is not None
    assert found.is_proof
    assert (found.inverted, found.mirrored) == (True, False)
    expected = [(0, 0), (width, 0), (width, height), (0, height)]
    np.testing.assert_allclose(np.array(found.quad), expected, atol=4)


def test_the_outline_of_a_picture_is_that_of_the_part_that_is_shown() -> None:
    pixels = picture("astronaut-1.jpg")
    height, width = pixels.shape[:2]
    scene = picture("scene-portrait-on-wall.jpg")
    image = find_local_features(scene)
    box = QueryKeypoints.of(pixels, is_picture=False).find_match(image)
    part = QueryKeypoints.of(pixels, is_picture=True).find_match(image)
    assert box is not None
    assert part is not None
    assert part.is_proof
    boxed, shown = (m.box_in(scene.shape[1], scene.shape[0]) for m in (box, part))
    assert boxed is not None
    assert shown is not None
    place = SCENES["scene-portrait-on-wall.jpg"]["astronaut"]
    assert boxed.iou(place) < 0.3
    assert shown.iou(place) > 0.7
    whole = QueryKeypoints.of(pixels, is_picture=True).find_match(find_local_features(pixels))
    assert whole is not None
    np.testing.assert_allclose(
        np.array(whole.quad), [(0, 0), (width, 0), (width, height), (0, height)], atol=2
    )


def test_a_match_in_a_crop_is_moved_to_its_place_in_the_image() -> None:
    pixels = picture("coffee-1.jpg")
    x, y = 90, 40
    found = match(pixels, np.ascontiguousarray(pixels[y:300, x:380]))
    assert found is not None
    moved = shift_match(found, x, y)
    np.testing.assert_allclose(np.array(moved.quad) - np.array(found.quad), [[x, y]] * 4)
    places = cv2.perspectiveTransform(moved.points[:, None, :2], moved.transform)[:, 0]
    np.testing.assert_allclose(places, moved.points[:, 2:], atol=4)
    np.testing.assert_allclose(np.array(moved.quad)[0], [0, 0], atol=4)


def test_different_subjects_are_never_proved() -> None:
    features = [find_local_features(picture(f"{subject}-1.jpg")) for subject in SUBJECTS]
    for one, other in combinations(features, 2):
        found = find_match(one, other)
        assert found is None or not found.is_proof


@pytest.mark.parametrize("size", [(1, 1), (30, 30)])
def test_a_picture_without_keypoints_has_no_match(size: tuple[int, int]) -> None:
    plain = np.zeros((*size, 3), np.uint8)
    assert match(plain, picture("cat-1.jpg")) is None
    assert match(picture("cat-1.jpg"), plain) is None


@pytest.mark.parametrize("inliers", [0, FREE_INLIERS])
@pytest.mark.parametrize("is_picture", [False, True])
def test_a_transform_that_hardly_any_point_agrees_with_is_no_match(
    monkeypatch: pytest.MonkeyPatch, inliers: int, is_picture: bool
) -> None:
    """MAGSAC++ returns such a one now and then, of four or five pairs in a tiny picture."""

    def fit(source: Points, *_: Points | float) -> tuple[Transform, BoolArray]:
        return np.eye(3), np.arange(len(source)) < inliers

    features = find_local_features(picture("cat-1.jpg"))
    assert find_match(features, features, is_picture=is_picture) is not None
    monkeypatch.setattr("retrieval.geometry.fit_affine", fit)
    assert find_match(features, features, is_picture=is_picture) is None


def test_points_close_together_prove_less() -> None:
    def proof(inliers: int, spread: float) -> bool:
        empty = np.empty((0, 4))
        return GeometricMatch(inliers, inliers, 1.0, spread, np.eye(3), empty, ()).is_proof

    assert not proof(3, 1.0)
    assert not proof(4, 1.0)
    assert proof(6, 0.5)
    assert not proof(6, 0.1)
    assert proof(9, 0.02)
    assert not proof(9, 0.005)
    assert proof(30, 0.0005)


def test_few_of_many_pairs_prove_nothing() -> None:
    def proof(inliers: int, tentative: int) -> bool:
        empty = np.empty((0, 4))
        return GeometricMatch(inliers, tentative, 1.0, 0.5, np.eye(3), empty, ()).is_proof

    assert proof(9, 60)
    assert not proof(9, 61)
    assert proof(30, 200)
    assert not proof(29, 200)


@pytest.mark.parametrize("kind", ["text, 20 px", "text, 28 px", "text, 40 px", "staves"])
def test_pages_that_look_alike_are_not_proved(kind: str) -> None:
    drawn = [KINDS[kind](seed) for seed in range(5)]
    pages = [find_local_features(page) for page in drawn]
    for query, page in permutations(pages, 2):
        assert not proves(query, page, is_picture=True)
    for page in pages:
        assert proves(page, page, is_picture=True)


def test_a_part_of_a_page_is_proved_in_it_and_in_no_other() -> None:
    drawn = [KINDS["text, 40 px"](seed) for seed in range(4)]
    pages = [find_local_features(page) for page in drawn]
    parts = [find_local_features(cut_part(page, seed)) for seed, page in enumerate(drawn)]
    for (a, part), (b, page) in product(enumerate(parts), enumerate(pages)):
        assert proves(part, page, is_picture=False) == (a == b)


def test_a_box_lies_in_the_image_or_is_none() -> None:
    def box(*quad: tuple[float, float]) -> Region | None:
        return GeometricMatch(9, 9, 1.0, 1.0, np.eye(3), np.empty((0, 4)), quad).box_in(100, 80)

    assert box((-5, 3), (50, 2), (52, 40), (-4, 41)) == Region(0, 2, 52, 41)
    assert box((120, 3), (150, 2), (152, 40), (124, 41)) is None
