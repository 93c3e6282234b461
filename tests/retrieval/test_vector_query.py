"""Queries by a vector: answered as the image that it was made of."""

from __future__ import annotations

import math
from typing import Any

import pytest

from indexer.errors import InvalidQueryError
from indexer.features.regions import Region
from retrieval.engine import SearchEngine
from retrieval.query import Query
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, ORANGE, RED, plain


@pytest.fixture
def search(desk: Desk) -> SearchEngine:
    for name, colour in {"red": RED, "orange": ORANGE, "green": GREEN, "blue": BLUE}.items():
        plain(desk.photos / f"{name}.png", colour)
    desk.index()
    return desk.search()


def vector_of(search: SearchEngine, image_id: int) -> tuple[float, ...]:
    kind = search.store.find_kind("conv", "image")
    return tuple(map(float, search.collection.index(kind).rows_of_image(image_id)[1][0]))


def test_a_vector_finds_what_its_image_finds(search: SearchEngine) -> None:
    by_image = search.search(Query(image_id=2))
    vector = vector_of(search, 2)
    for length in (1.0, 7.5):  # only the direction counts
        by_vector = search.search(Query(vector=tuple(length * value for value in vector)))
        assert [(h.image_id, h.region) for h in by_vector] == [
            (h.image_id, h.region) for h in by_image
        ]
        assert [h.score for h in by_vector] == pytest.approx(
            [h.score for h in by_image], abs=1e-3
        )  # stored in half precision


def test_vectors_and_images_are_answered_together(search: SearchEngine) -> None:
    vector = vector_of(search, 3)
    together = search.search_many([Query(image_id=3), Query(vector=vector), Query(image_id=1)])
    assert together == [
        search.search(Query(image_id=3)),
        search.search(Query(vector=vector)),
        search.search(Query(image_id=1)),
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda v: v[:-1], "numbers; the .* vectors of this store have"),
        (lambda v: (0.0,) * len(v), "it has no direction"),
        (lambda v: (math.nan, *v[1:]), "it has no direction"),
        (lambda v: (math.inf, *v[1:]), "it has no direction"),
    ],
)
def test_a_vector_without_meaning_is_refused(
    search: SearchEngine, change: Any, reason: str
) -> None:
    with pytest.raises(InvalidQueryError, match=reason):
        search.search(Query(vector=change(vector_of(search, 1))))


@pytest.mark.parametrize(
    "options",
    [
        {"box": Region(0, 0, 1, 1)},
        {"turns": True},
        {"verify": True},
        {"search": "region", "rerank": True},
    ],
)
def test_a_vector_has_no_picture(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidQueryError, match="A vector has no box"):
        Query(vector=(1.0,), **options)
