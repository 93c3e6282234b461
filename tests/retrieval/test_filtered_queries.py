"""Filtered queries of every sort find the best of the images that a filter leaves, k of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from indexer.features.regions import Region
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.query import Query
from tests.colour_grid import region_spec
from tests.desk import Desk
from tests.pictures import noise

COUNT = 24
OTHER = Query(image_id=2)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, _own_folders: None) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("filtered")
    (folder / "photos").mkdir()
    for seed in range(COUNT):
        Image.fromarray(noise(seed, 80, 80)).save(folder / "photos" / f"{seed}.png")
    desk = Desk(folder / "photos", Store.create(folder / ".cbir", region_spec("grid")))
    desk.index()
    yield desk
    desk.store.close()


@pytest.fixture(scope="module")
def engine(desk: Desk) -> SearchEngine:
    return desk.search()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"feature": "fc"},
        {"search": "region"},
        {"search": "region", "box": Region(10, 10, 60, 60)},
        {"turns": True},
        {"also": ((OTHER, 1.0),)},
        {"also": ((OTHER, -0.5),)},
        {"search": "region", "also": ((replace(OTHER, search="region"), -0.5),)},
        {"search": "region", "turns": True},
        {"verify": True},
        {"search": "region", "verify": True},
        {"search": "region", "rerank": True},
    ],
    ids=str,
)
def test_the_best_of_those_left_are_found(
    desk: Desk, engine: SearchEngine, options: dict[str, Any]
) -> None:
    query = Query(path=desk.photos / "3.png", k=None, **options)
    everything = engine.search(query)
    assert len(everything) == COUNT
    for where in ("name:1*", "name=3.png or name=7.png", "width>80", "not name=3.png"):
        allowed = find_ids(desk.store, ImageFilter(where=where))
        hits = engine.search(replace(query, allowed=allowed))
        assert {hit.image_id for hit in hits} == set(allowed)
        few = engine.search(replace(query, allowed=allowed, k=2))
        assert len(few) == min(2, len(allowed))
        if not query.rerank:  # what it learns from the first hits depends on which there are
            left = [(hit.image_id, hit.score) for hit in everything if hit.image_id in allowed]
            assert [(hit.image_id, hit.score) for hit in hits] == left
            assert [(hit.image_id, hit.score) for hit in few] == left[:2]


def test_a_batch_with_one_filter_answers_as_each_alone(desk: Desk, engine: SearchEngine) -> None:
    allowed = find_ids(desk.store, ImageFilter(where="name:2*"))
    queries = [Query(path=Path(desk.photos / f"{n}.png"), allowed=allowed, k=3) for n in range(5)]
    assert engine.search_many(queries) == [engine.search(query) for query in queries]
