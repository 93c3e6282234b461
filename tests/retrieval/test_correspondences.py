"""The keypoints of a query that were found again in one image."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from indexer.errors import InvalidQueryError, InvalidRegionError
from indexer.features.regions import Region
from retrieval.correspondences import Correspondences, find_correspondences
from retrieval.query import Query
from retrieval.transform import project
from tests.desk import noisy_desk
from tests.sample import SCENES, Sample

SCENE = "scene-cat-and-cup.jpg"
NEAR = 0.03  # of the sides: how far a keypoint lies from where the transform puts it


def id_of(sample: Sample, name: str) -> int:
    info = sample.store.find_image(sample.path(name))
    assert info is not None
    return info.id


def found_in(sample: Sample, query: Query, name: str = SCENE) -> Correspondences:
    found = find_correspondences(sample.search.collection, query, id_of(sample, name))
    assert found is not None
    return found


def test_it_is_what_verifying_finds(sample: Sample) -> None:
    query = Query(path=sample.path("cat-1.jpg"), verify=True, k=None)
    proved = [hit for hit in sample.search.search(query) if hit.inliers is not None]
    assert len(proved) > 1  # the scenes of the cat beside the picture itself
    for hit in proved:
        found = found_in(sample, query, hit.path.name)
        assert found.match.is_proof
        assert (found.match.quad, found.match.inliers) == (hit.quad, hit.inliers)
        assert len(found.shares) == len(found.match.points) >= found.match.inliers


def test_points_lie_in_both_pictures_where_they_were_found(sample: Sample) -> None:
    found = found_in(sample, Query(path=sample.path("cat-1.jpg")))
    width, height = sample.size(SCENE)
    box = SCENES[SCENE]["cat"].padded(0.1, width, height)
    for x, y in found.shares[:, 2:] * (width, height):
        assert box.x0 <= x <= box.x1
        assert box.y0 <= y <= box.y1
    assert (found.shares >= 0).all()
    assert (found.shares <= 1).all()


def test_with_a_box_points_are_those_in_the_box_of_the_whole_picture(sample: Sample) -> None:
    width, height = sample.size(SCENE)
    box = SCENES[SCENE]["cat"]
    query = Query(path=sample.path(SCENE), box=box, context=0.0)
    found = found_in(sample, query)  # the picture itself: each point lies where it is
    assert np.abs(found.shares[:, :2] - found.shares[:, 2:]).max() < NEAR
    corners = np.array([box.x0, box.y0, box.x1, box.y1]) / (width, height, width, height)
    assert (found.shares[:, :2] >= corners[:2] - 0.01).all()
    assert (found.shares[:, :2] <= corners[2:] + 0.01).all()


def test_of_a_mirrored_query_points_are_in_its_own_pixels(sample: Sample) -> None:
    with Image.open(sample.path(SCENE)) as scene:
        mirrored = ImageOps.mirror(scene.convert("RGB"))
    out = io.BytesIO()
    mirrored.save(out, "PNG")
    found = found_in(sample, Query(data=out.getvalue()))
    assert found.match.mirrored
    x, there_x = found.shares[:, 0], found.shares[:, 2]
    assert np.abs(1 - x - there_x).max() < NEAR
    size = np.array(mirrored.size)
    placed = project(found.match.transform, found.match.points[:, :2])
    assert np.abs(placed / size - found.shares[:, 2:]).max() < NEAR


def test_pictures_without_anything_in_common_prove_nothing(sample: Sample) -> None:
    query = Query(path=sample.path("cat-1.jpg"))
    other = id_of(sample, "coffee-1.jpg")
    found = find_correspondences(sample.search.collection, query, other)
    assert found is None or not found.match.is_proof


def test_of_a_file_that_is_gone_there_are_none(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path, count=2)
    (desk.photos / "0.png").rename(tmp_path / "moved.png")
    query = Query(path=desk.photos / "1.png")
    assert find_correspondences(desk.search().collection, query, desk.id_of("0.png")) is None


def test_a_query_that_cannot_be_asked_is_told(sample: Sample) -> None:
    query = Query(image_id=999_999)
    with pytest.raises(InvalidQueryError, match="no image 999999"):
        find_correspondences(sample.search.collection, query, 1)
    outside = replace(Query(path=sample.path(SCENE)), box=Region(0, 0, 9000, 9000))
    with pytest.raises(InvalidRegionError, match="does not lie inside"):
        find_correspondences(sample.search.collection, outside, 1)
