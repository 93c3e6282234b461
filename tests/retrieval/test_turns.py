"""Queries that are asked in four rotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer.arrays import FloatArray
from indexer.choices import SCOPES
from indexer.features.regions import Region
from retrieval.describe import QueryVectors, describe_queries, describe_query
from retrieval.query import Query
from tests.sample import Sample

KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"feature": "fc"},
    {"search": "region"},
    {"search": "region", "box": True},
)


@pytest.fixture(scope="module")
def turned(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cup on its side: turned clockwise by a quarter, in a lossless file."""
    path = tmp_path_factory.mktemp("turned") / "cup.png"
    with Image.open(sample.path("coffee-1.jpg")) as cup:
        cup.transpose(Image.Transpose.ROTATE_270).save(path)
    return path


def box_of(sample: Sample) -> tuple[Region, Region]:
    """A box in the upright cup, and the same in the turned one."""
    _, height = sample.size("coffee-1.jpg")
    box = Region(60, 30, 300, 250)
    return box, Region(height - box.y1, box.x0, height - box.y0, box.x1)


def turns_of(sample: Sample, query: Query) -> FloatArray:
    """The vectors of a query, turn by turn."""
    [vectors] = describe_queries(sample.search.collection, [query])
    assert isinstance(vectors, QueryVectors)
    return vectors.own


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_turned_copy_has_the_vectors_of_the_upright_one(
    sample: Sample, turned: Path, kind: dict[str, Any]
) -> None:
    upright_box, turned_box = box_of(sample) if "box" in kind else (None, None)
    upright = Query(path=sample.path("coffee-1.jpg"), **kind | {"box": upright_box})
    asked = Query(path=turned, turns=True, **kind | {"box": turned_box})
    vectors = turns_of(sample, asked)
    assert len(vectors) == 4
    expected = describe_query(sample.search.collection, upright)
    cosines = vectors @ expected
    assert cosines.argmax() == 3  # a quarter clockwise thrice more
    assert cosines[3] > 0.999
    assert cosines[0] < 0.9


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_a_turned_copy_finds_the_upright_one_first(
    sample: Sample, turned: Path, kind: dict[str, Any]
) -> None:
    _, box = box_of(sample) if "box" in kind else (None, None)
    asked = Query(path=turned, turns=True, k=None, **kind | {"box": box})
    hits = sample.search.search(asked)
    assert hits[0].path.name == "coffee-1.jpg"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert len({hit.image_id for hit in hits}) == len(hits) == sample.search.collection.image_count


def test_no_image_scores_lower_for_more_turns(sample: Sample, turned: Path) -> None:
    plain, turning = (
        {
            hit.image_id: hit.score
            for hit in sample.search.search(Query(path=turned, k=None, turns=t))
        }
        for t in (False, True)
    )
    assert all(turning[image_id] >= score for image_id, score in plain.items())
    confidences = [
        sample.search.search(Query(path=sample.path("cat-1.jpg"), k=3, turns=t))[2].confidence
        for t in (False, True)
    ]
    assert confidences[0] is not None
    assert confidences[1] is not None
    assert confidences[1] <= confidences[0]  # four tries make chance likelier


def test_an_indexed_image_is_turned_too(sample: Sample) -> None:
    [(image_id, _)] = [
        (i, info)
        for i, info in sample.search.store.image_infos(range(1, 200)).items()
        if info.path.name == "coffee-1.jpg"
    ]
    asked = Query(image_id=image_id, turns=True)
    vectors = turns_of(sample, asked)
    stored = describe_query(sample.search.collection, Query(image_id=image_id))
    np.testing.assert_array_equal(vectors[0], stored)
    assert len(np.unique(vectors, axis=0)) == 4


def test_a_verified_turned_copy_is_the_same_picture(sample: Sample, turned: Path) -> None:
    for search in SCOPES:
        asked = Query(path=turned, search=search, turns=True, verify=True, k=1)
        [hit] = sample.search.search(asked)
        assert (hit.path.name, hit.verdict) == ("coffee-1.jpg", "same picture")
