"""Queries that ask with several images, like some and unlike others."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer.arrays import unit_vector
from indexer.errors import CbirError, InvalidQueryError, UnreadableImageError
from indexer.features.regions import Region
from indexer.store.store import Store
from retrieval.describe import QueryVectors, describe_queries
from retrieval.engine import SearchEngine
from retrieval.query import Query
from tests.colour_grid import region_spec
from tests.desk import Desk
from tests.pictures import noise

COUNT = 8
FC = Query(image_id=1, feature="fc")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    (tmp_path / "photos").mkdir()
    for seed in range(COUNT):
        Image.fromarray(noise(seed, 80, 80)).save(tmp_path / "photos" / f"{seed}.png")
    desk = Desk(tmp_path / "photos", Store.create(tmp_path / ".cbir", region_spec("grid")))
    desk.index()
    yield desk
    desk.store.close()


@pytest.fixture
def engine(desk: Desk) -> SearchEngine:
    return desk.search()


def query(desk: Desk, number: int, **fields: Any) -> Query:
    return Query(path=desk.photos / f"{number}.png", **fields)


def described(engine: SearchEngine, *queries: Query) -> list[QueryVectors]:
    found = describe_queries(engine.collection, queries)
    assert all(isinstance(vectors, QueryVectors) for vectors in found), found
    return [vectors for vectors in found if isinstance(vectors, QueryVectors)]


@pytest.mark.parametrize("search", ["image", "region"])
@pytest.mark.parametrize("turns", [False, True])
def test_the_vector_is_the_weighted_sum(
    desk: Desk, engine: SearchEngine, search: Any, turns: bool
) -> None:
    a, b, c = (query(desk, n, search=search, turns=turns) for n in range(3))
    asked = replace(a, also=((replace(b, turns=False), 1.0), (c, -0.5)))
    alone = described(engine, a, b, c)
    together, beside = described(engine, asked, a)
    for part in ("own", "whole"):
        rows = [getattr(vectors, part) for vectors in alone]
        if rows[0] is None:
            assert getattr(together, part) is None
            continue
        wanted = [unit_vector(x + y - np.float32(0.5) * z) for x, y, z in zip(*rows, strict=True)]
        np.testing.assert_array_equal(getattr(together, part), np.stack(wanted))
        np.testing.assert_array_equal(getattr(beside, part), rows[0])
    assert len(together.own) == (4 if turns else 1)


def test_what_several_images_have_in_common_comes_first(desk: Desk, engine: SearchEngine) -> None:
    asked = query(desk, 0, also=((query(desk, 1), 1.0), (Query(image_id=desk.id_of("2.png")), 1.0)))
    hits = engine.search(asked)
    assert {hit.path.stem for hit in hits[:3]} == {"0", "1", "2"}


def test_what_is_taken_away_comes_last(desk: Desk, engine: SearchEngine) -> None:
    alone = [hit.path.stem for hit in engine.search(query(desk, 0))]
    assert alone[-1] != "3"
    asked = query(desk, 0, also=((query(desk, 3), -1.0),))
    assert [hit.path.stem for hit in engine.search(asked)][-1] == "3"


def test_a_box_of_another_image_counts(desk: Desk, engine: SearchEngine) -> None:
    box = Region(0, 0, 40, 40)
    part = query(desk, 1, search="region", box=box)
    first, both = described(
        engine, part, query(desk, 0, search="region", box=box, also=((part, 3.0),))
    )
    assert float(first.own[0] @ both.own[0]) > 0.9


def test_many_searches_answer_as_one_does(desk: Desk, engine: SearchEngine) -> None:
    queries = [
        query(desk, 0, also=((query(desk, 1), 1.0),)),
        query(desk, 0),
        query(desk, 2, also=((query(desk, 3), -0.5),)),
    ]
    assert engine.search_many(queries) == [engine.search(one) for one in queries]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"also": ((Query(image_id=1), 0.0),)}, "other than 0"),
        ({"also": ((Query(image_id=1), math.nan),)}, "other than 0"),
        ({"also": ((Query(image_id=1, search="region"), -1.0),)}, "can be taken away"),
        ({"also": ((Query(image_id=1, feature="fc"), -0.5),)}, "conv features of the image"),
        ({"search": "region", "rerank": True, "also": ((FC, 1.0),)}, "Re-ranking compares"),
        ({"min_confidence": 0.5, "also": ((FC, 1.0),)}, "have no confidence"),
        ({"also": ((replace(FC, also=((Query(image_id=2), 1.0),)), 1.0),)}, "itself, unless"),
        ({"also": ((Query(image_id=1, also=((Query(image_id=2), 1.0),)), 1.0),)}, "itself"),
        ({"turns": True, "also": ((Query(vector=(1.0,)), 1.0),)}, "cannot be turned"),
    ],
)
def test_combinations_that_are_none(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidQueryError, match=why):
        Query(image_id=1, **fields)


def test_images_that_cancel_out_are_told(desk: Desk, engine: SearchEngine) -> None:
    asked = query(desk, 0, also=((query(desk, 0), -1.0),))
    with pytest.raises(InvalidQueryError, match="cancel each other out"):
        engine.search(asked)


def test_another_image_that_cannot_be_used_is_told(desk: Desk, engine: SearchEngine) -> None:
    blank = desk.photos.parent / "blank.png"
    Image.new("RGB", (80, 80), (9, 9, 9)).save(blank)
    bad = desk.photos.parent / "bad.png"
    bad.write_text("milk", "utf-8")
    errors: list[tuple[Path, type[CbirError]]] = [
        (blank, InvalidQueryError),
        (bad, UnreadableImageError),
    ]
    for path, error in errors:
        with pytest.raises(error):
            engine.search(query(desk, 0, also=((Query(path=path), 1.0),)))
