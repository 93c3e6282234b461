from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from indexer.arrays import Pixels
from indexer.features.local import MAX_POINTS, find_local_features
from indexer.features.regions import Region
from retrieval.correspondences import find_correspondences
from retrieval.geometry import QueryKeypoints
from retrieval.query import Hit, Query
from retrieval.rerank.keypoint_expansion import ADDED, SEEN_IN, bring_back
from tests.desk import Desk, noisy_desk
from tests.pictures import noise
from tests.sample import SAMPLE

CANVAS = (900, 700)
SAME = np.eye(3)
TURNED = np.array([[0.35, -0.6, 420], [0.6, 0.35, 100], [0, 0, 1]])
ASLANT = np.array([[0.9, 0.1, 120], [-0.05, 0.8, 150], [0.0004, 0.0002, 1]])
BOX = Region(100, 90, 420, 330)  # of the thing, in each photo of it
WHOLE = "whole.png"


def picture(name: str) -> Pixels:
    return np.asarray(Image.open(SAMPLE / "images" / name).convert("RGB"))


# --- what is brought back -------------------------------------------------------------------------


@pytest.mark.parametrize("look", ["plain", "mirrored", "inverted"])
@pytest.mark.parametrize("transform", [SAME, TURNED, ASLANT], ids=["same", "turned", "aslant"])
def test_keypoints_of_a_hit_lie_in_the_query_as_its_own_do(transform: Pixels, look: str) -> None:
    pixels = picture("coffee-1.jpg")
    height, width = pixels.shape[:2]
    shown = {"plain": pixels, "mirrored": pixels[:, ::-1], "inverted": 255 - pixels}[look]
    ground = cv2.resize(noise(5, 60, 50), CANVAS, interpolation=cv2.INTER_CUBIC)
    photo = cv2.warpPerspective(
        np.ascontiguousarray(shown),
        transform,
        CANVAS,
        ground,
        cv2.INTER_AREA,
        cv2.BORDER_TRANSPARENT,
    )
    image = find_local_features(np.asarray(photo, np.uint8))
    query = QueryKeypoints.of(pixels, is_picture=False)
    match = query.find_match(image)
    assert match is not None
    assert match.is_proof
    assert (match.mirrored, match.inverted) == (look == "mirrored", look == "inverted")

    brought = bring_back(match, image, (width, height))
    assert 15 <= len(brought) <= ADDED
    assert brought.size == (width, height)
    assert (brought.points[:, :2] >= 0).all()
    assert (brought.points[:, :2] <= brought.size).all()
    # Each has, near by, one of the query's own that is described alike, as large and as turned.
    near = np.linalg.norm(brought.points[:, None, :2] - query.plain.points[None, :, :2], axis=2) < 4
    likeness = np.where(near, brought.exact @ query.plain.exact.T / 255**2, 0)
    alike = likeness.max(axis=1) > 0.9
    assert alike.mean() > 0.3
    own, there = query.plain.points[likeness.argmax(axis=1)[alike]], brought.points[alike]
    turns = (there[:, 3] - own[:, 3] + 180) % 360 - 180
    assert np.median(abs(turns)) < 10
    assert np.median(abs(np.log2(there[:, 2] / own[:, 2]))) < 0.3


def test_no_more_are_added_than_a_query_has() -> None:
    assert SEEN_IN * ADDED <= MAX_POINTS


# --- what it proves -------------------------------------------------------------------------------


def things() -> dict[str, Pixels]:
    """Return a photo of a thing, and two that each show one half of it."""
    thing = cv2.resize(picture("coffee-1.jpg"), (320, 240), interpolation=cv2.INTER_AREA)
    photos = {}
    for seed, name in enumerate(("left.png", WHOLE, "right.png")):
        ground = cv2.resize(noise(seed, 65, 52), (520, 416), interpolation=cv2.INTER_CUBIC)
        photo = np.asarray(ground, np.uint8)
        start, stop = {"left.png": (0, 150), "right.png": (170, 320)}.get(name, (0, 320))
        photo[BOX.y0 : BOX.y1, BOX.x0 + start : BOX.x0 + stop] = thing[:, start:stop]
        photos[name] = photo
    return photos


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    made = noisy_desk(tmp_path_factory.mktemp("desk"), count=20)
    for name, pixels in things().items():
        Image.fromarray(pixels).save(made.photos / name)
    made.index()
    return made


def proved(desk: Desk, query: Query) -> dict[str, Hit]:
    return {hit.path.name: hit for hit in desk.search().search(query) if hit.inliers is not None}


def test_a_hit_proves_what_the_query_does_not_show(desk: Desk) -> None:
    asked = desk.photos / "left.png"
    query = Query(path=asked, box=BOX, search="region", k=None)
    assert proved(desk, replace(query, verify=True)).keys() - {"left.png"} == {WHOLE}
    hits = proved(desk, replace(query, rerank=True))
    assert hits.keys() - {"left.png"} == {WHOLE, "right.png"}
    found = hits["right.png"]
    assert found.verdict == "same object"
    assert found.region is not None
    assert found.region.iou(BOX) > 0.9


def test_a_whole_picture_proves_only_what_it_shows_itself(desk: Desk) -> None:
    query = Query(path=desk.photos / "left.png", search="region", k=None, rerank=True)
    assert proved(desk, query).keys() - {"left.png"} == {WHOLE}


def test_the_points_of_such_a_hit_can_be_shown(desk: Desk) -> None:
    query = Query(path=desk.photos / "left.png", box=BOX, search="region", k=None, rerank=True)
    hits = proved(desk, query)
    collection, far = desk.search().collection, desk.id_of("right.png")
    alone = find_correspondences(collection, query, far)
    assert alone is None or not alone.match.is_proof
    by = [hit.image_id for hit in hits.values()]
    found = find_correspondences(collection, query, far, proved=by)
    assert found is not None
    assert found.match.is_proof
    assert found.match.inliers == hits["right.png"].inliers
    # Both photos show the thing in the same place: points that are the same lie there, too.
    assert np.abs(found.shares[:, :2] - found.shares[:, 2:]).max() < 0.05
    whole = find_correspondences(collection, replace(query, box=None), far, proved=by)
    assert whole is None or not whole.match.is_proof
