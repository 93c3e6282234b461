"""Reciprocal rank fusion, and queries of several kinds that are answered by it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from indexer.errors import InvalidQueryError
from indexer.features.regions import Region
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.fusion import fuse
from retrieval.query import Hit, Query
from retrieval.rerank.step import Candidate
from tests.colour_grid import region_spec
from tests.desk import Desk
from tests.pictures import noise

COUNT = 8


def ranking(*image_ids: int) -> list[Candidate]:
    return [Candidate(i, 1 - 0.1 * n, None) for n, i in enumerate(image_ids)]


def test_ranks_worked_out_by_hand() -> None:
    found = fuse([ranking(1, 2, 3), ranking(3, 4, 1)], [1.0, 1.0])
    sums = {1: 1 / 61 + 1 / 63, 3: 1 / 63 + 1 / 61, 2: 1 / 62, 4: 1 / 62}
    assert [c.image_id for c in found] == [1, 3, 2, 4]  # ties by their ids
    for candidate in found:
        assert candidate.score == pytest.approx(sums[candidate.image_id] / (2 / 61))


def test_weights_worked_out_by_hand() -> None:
    found = fuse([ranking(1, 2), ranking(2, 1), ranking(3)], [1.0, 0.5, 2.0])
    sums = {1: 1 / 61 + 0.5 / 62, 2: 1 / 62 + 0.5 / 61, 3: 2 / 61}
    assert [c.image_id for c in found] == [3, 1, 2]
    for candidate in found:
        assert candidate.score == pytest.approx(sums[candidate.image_id] / (3.5 / 61))


def test_the_first_box_counts() -> None:
    one, two = Region(0, 0, 1, 1), Region(0, 0, 2, 2)
    parts = [[Candidate(1, 0.5, None)], [Candidate(1, 0.4, one)], [Candidate(1, 0.3, two)]]
    [found] = fuse(parts, [1.0, 1.0, 1.0])
    assert found.region == one
    assert found.score == pytest.approx(1.0)


@given(st.lists(st.lists(st.integers(1, 9), unique=True), min_size=1, max_size=4))
def test_every_image_is_found_once_and_never_above_one(rankings: list[list[int]]) -> None:
    found = fuse([ranking(*ids) for ids in rankings], [1.0] * len(rankings))
    assert sorted(c.image_id for c in found) == sorted({i for ids in rankings for i in ids})
    scores = [c.score for c in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 + 1e-9 for score in scores)


# --- queries of several kinds -----------------------------------------------------------------


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


def written_again(desk: Desk, number: int) -> bytes:
    """An image of the store in other bytes, so that it is not a hit's own file."""
    out = io.BytesIO()
    with Image.open(desk.photos / f"{number}.png") as image:
        image.save(out, "png", compress_level=1)
    return out.getvalue()


def order(hits: list[Hit]) -> list[int]:
    return [hit.image_id for hit in hits]


def expected(engine: SearchEngine, parts: list[Query], weights: list[float]) -> list[int]:
    """Return the order that the rankings of single queries give together."""
    rankings = [ranking(*order(engine.search(replace(part, k=None)))) for part in parts]
    return [c.image_id for c in fuse(rankings, weights)]


@pytest.mark.parametrize("turns", [False, True])
@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_each_kind_ranks_by_itself(
    desk: Desk, engine: SearchEngine, weight: float, turns: bool
) -> None:
    first = Query(data=written_again(desk, 0), search="region", turns=turns)
    second = Query(path=desk.photos / "5.png", feature="fc")
    asked = replace(first, also=((second, weight),), k=None)
    single = replace(second, turns=turns)
    hits = engine.search(asked)
    assert order(hits) == expected(engine, [first, single], [1.0, weight])
    assert [hit.confidence for hit in hits] == [None] * COUNT
    assert all(hit.region is not None for hit in hits)
    assert order(engine.search(replace(asked, k=3))) == order(hits)[:3]


def test_what_is_of_the_same_kind_is_added_within_its_ranking(
    desk: Desk, engine: SearchEngine
) -> None:
    one, two = Query(data=written_again(desk, 0)), Query(path=desk.photos / "1.png")
    both = replace(one, also=((two, 1.0),))
    by_fc = replace(one, feature="fc", also=((replace(two, feature="fc"), 1.0),))
    asked = replace(one, also=((two, 1.0), (by_fc, 1.0)), k=None)
    assert order(engine.search(asked)) == expected(engine, [both, by_fc], [1.0, 1.0])


def test_many_searches_answer_as_one_does(desk: Desk, engine: SearchEngine) -> None:
    paths = [desk.photos / f"{n}.png" for n in range(4)]
    fused = [Query(path=p, also=((Query(path=p, feature="fc"), 1.0),), k=4) for p in paths]
    heavier = replace(fused[0], also=((Query(path=paths[1], feature="fc"), 2.0),))
    queries = [*fused, heavier, Query(path=paths[0], k=4)]
    assert engine.search_many(queries) == [engine.search(query) for query in queries]


def test_filters_own_files_and_proofs_come_with_it(desk: Desk, engine: SearchEngine) -> None:
    path = desk.photos / "6.png"
    some = {desk.id_of(f"{n}.png") for n in (1, 3, 6)}
    asked = Query(path=path, also=((Query(path=path, feature="fc"), 1.0),), allowed=some)
    hits = engine.search(asked)
    assert set(order(hits)) == some
    assert (hits[0].path, hits[0].score, hits[0].verdict) == (path, 1.0, "same picture")
    verified = engine.search(replace(asked, verify=True))
    assert verified[0].path == path
    assert {h.image_id: h.score for h in verified} == {h.image_id: h.score for h in hits}


def test_a_blank_picture_of_another_kind_is_told(
    desk: Desk, engine: SearchEngine, tmp_path: Path
) -> None:
    Image.fromarray(np.full((80, 80, 3), 9, np.uint8)).save(tmp_path / "blank.png")
    blank = Query(path=tmp_path / "blank.png", feature="fc")
    with pytest.raises(InvalidQueryError, match="nothing to find"):
        engine.search(Query(path=desk.photos / "1.png", also=((blank, 1.0),)))
