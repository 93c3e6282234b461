"""Queries that come together: from one caller as a batch, or from several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from indexer.arrays import Pixels
from indexer.errors import CbirError, InvalidQueryError, InvalidRegionError, UnreadableImageError
from indexer.features.engines.protocols import Activations, T
from indexer.features.regions import Region
from indexer.store.store import Store
from indexer.store.vectors.local_index import LocalVectorIndex
from retrieval.engine import SearchEngine
from retrieval.query import Hit, Query
from tests.colour_grid import ColourGridEngine, colour_extractor, region_spec
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, RED, plain
from tests.sample import SCENES, Sample, subject_queries


def mixed_queries(sample: Sample) -> list[Query]:
    """Queries of every kind, in an order that mixes those that search alike."""
    cat, coffee = sample.path("cat-1.jpg"), sample.path("coffee-1.jpg")
    [image_id] = [info.id for info in [sample.store.find_image(cat)] if info]
    scene, subject = subject_queries()[0]
    box = SCENES[scene][subject]
    return [
        Query(path=cat),
        Query(path=coffee, search="region"),
        Query(path=coffee, feature="fc", k=3),
        Query(image_id=image_id),
        Query(path=sample.path(scene), box=box, search="region", k=None),
        Query(path=cat, search="region"),
        Query(data=coffee.read_bytes()),
        Query(path=sample.path(scene), box=box, search="region", rerank=True, candidates=4),
        Query(path=cat, allowed=frozenset({image_id})),
        Query(path=coffee),
    ]


def check_same(hits: list[Hit] | CbirError, expected: list[Hit]) -> None:
    assert not isinstance(hits, CbirError)
    assert [(hit.path, hit.region) for hit in hits] == [(hit.path, hit.region) for hit in expected]
    for hit, other in zip(hits, expected, strict=True):
        assert hit.score == pytest.approx(other.score, abs=1e-4)


def test_together_they_get_what_each_gets_alone(sample: Sample) -> None:
    queries = mixed_queries(sample)
    answers = sample.search.search_many(queries)
    assert len(answers) == len(queries)
    for query, answer in zip(queries, answers, strict=True):
        check_same(answer, sample.search.search(query))


def test_threads_get_what_each_gets_alone(sample: Sample) -> None:
    queries = mixed_queries(sample)
    expected = [sample.search.search(query) for query in queries]
    engine = SearchEngine(
        sample.store, extractor=sample.search.collection.extractor
    )  # nothing loaded yet
    together = threading.Barrier(4)

    def ask(first: int) -> None:
        together.wait()
        for i in range(len(queries)):
            place = (first + i) % len(queries)
            check_same(engine.search(queries[place]), expected[place])

    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(ask, first) for first in (0, 3, 5, 8)]:
            done.result()


def test_threads_may_share_an_engine(sample: Sample) -> None:
    query = Query(path=sample.path("cat-1.jpg"), search="region")
    expected = sample.search.search(query)
    engine = SearchEngine(sample.store, extractor=sample.search.collection.extractor)
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(engine.search, query) for _ in range(12)]
        for done in asked:
            check_same(done.result(), expected)


class CountingEngine(ColourGridEngine):
    """Counts how often it is called."""

    calls = 0

    def run(self, images: Sequence[Pixels], use: Callable[[int, Activations], T]) -> list[T]:
        self.calls += 1
        return super().run(images, use)


@pytest.fixture
def colours(tmp_path: Path) -> Desk:
    (tmp_path / "photos").mkdir()
    desk = Desk(tmp_path / "photos", Store.create(tmp_path / ".cbir", region_spec()))
    for name, colour in {"red": RED, "green": GREEN, "blue": BLUE}.items():
        plain(desk.photos / f"{name}.png", colour)
    desk.index()
    return desk


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[int]:
    sizes: list[int] = []
    original: Callable[..., Any] = getattr(owner, name)

    def counted(self: Any, queries: Any, *rest: Any, **named: Any) -> Any:
        sizes.append(len(queries))
        return original(self, queries, *rest, **named)

    monkeypatch.setattr(owner, name, counted)
    return sizes


def test_a_batch_shares_one_forward_and_one_search(
    colours: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = CountingEngine()
    extractor = colour_extractor(network, colours.store.spec)
    engine = SearchEngine(colours.store, extractor=extractor)
    sizes = count_calls(monkeypatch, LocalVectorIndex, "search_images")
    paths = [colours.photos / f"{name}.png" for name in ("red", "green", "blue")]
    answers = engine.search_many([Query(path=path, search="region", k=1) for path in paths])
    assert network.calls == 1
    assert sizes == [3]
    firsts = [answer[0].path for answer in answers if not isinstance(answer, CbirError)]
    assert firsts == paths


def test_queries_that_search_differently_are_not_mixed(
    colours: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = colours.search()
    sizes = count_calls(monkeypatch, LocalVectorIndex, "search")
    one = Query(path=colours.photos / "red.png", k=1)
    three = replace(one, path=colours.photos / "blue.png", k=3)
    answers = engine.search_many([one, three, one])
    assert [len(a) for a in answers if not isinstance(a, CbirError)] == [1, 3, 1]
    assert sorted(sizes) == [1, 2]


def test_what_cannot_be_answered_stops_nothing(colours: Desk) -> None:
    engine = colours.search()
    red = colours.photos / "red.png"
    text = colours.photos / "list.jpg"
    text.write_text("eggs, milk", "utf-8")
    answers = engine.search_many(
        [
            Query(path=text),
            Query(path=red, box=Region(0, 0, 999, 999), search="region"),
            Query(path=red, k=1),
            Query(image_id=999),
            Query(path=red, search="region", feature="fc"),
        ]
    )
    kinds = [type(answer) for answer in answers[:4]]
    assert kinds == [UnreadableImageError, InvalidRegionError, list, InvalidQueryError]
    assert "--regions sliding" in str(answers[4])
    assert engine.search_many([]) == []
