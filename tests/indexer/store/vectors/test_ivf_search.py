"""A vector index with an IVF index finds what one without it finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from indexer.arrays import FloatArray, IdArray
from indexer.choices import IndexType
from indexer.image_set import ImageSet
from indexer.store.vectors.image_matches import ImageMatches, Matches
from indexer.store.vectors.ivf import IvfIndex
from indexer.store.vectors.local_index import LocalVectorIndex
from indexer.store.vectors.segments import Rows
from tests.clusters import DIMENSION, ROWS, WINDOWS, clustered, segment, trained
from tests.segments import segment_of

QUERIES = clustered(seed=2, rows=40)
TAIL_IMAGE = 2001
SEGMENTS = [segment(1, 4000), segment(1001, 2000, seed=3), segment(TAIL_IMAGE, 500, seed=4)]
IMAGES = np.unique(np.concatenate([part.image_ids.all() for part in SEGMENTS]))


@pytest.fixture(scope="module", params=["balanced", "compact"])
def ivf(request: pytest.FixtureRequest) -> IvfIndex:
    """The IVF index of the first two segments; the third came later."""
    index_type: IndexType = request.param
    return trained(Rows(SEGMENTS[:2]), index_type)


@pytest.fixture
def near(ivf: IvfIndex, monkeypatch: pytest.MonkeyPatch) -> LocalVectorIndex:
    """All segments, searched by the IVF index."""
    few_rows_are(100, monkeypatch)
    return LocalVectorIndex(DIMENSION, SEGMENTS, ivf)


def few_rows_are(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.store.vectors.local_index.FEW_ROWS", count)
    monkeypatch.setattr("indexer.store.vectors.ivf_search.FEW_ROWS", count)


@pytest.fixture
def exact() -> LocalVectorIndex:
    return LocalVectorIndex(DIMENSION, SEGMENTS)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were asked for, each time that the IVF index was searched."""
    seen: list[int] = []
    search, search_some = IvfIndex.search, IvfIndex.search_some

    def counted(
        self: IvfIndex, rows: Rows, query: FloatArray, k: int
    ) -> tuple[IdArray, FloatArray]:
        seen.append(k)
        return search(self, rows, query, k)

    def some_counted(
        self: IvfIndex, rows: Rows, query: FloatArray, k: int, *which: Any
    ) -> tuple[IdArray, FloatArray]:
        seen.append(k)
        return search_some(self, rows, query, k, *which)

    monkeypatch.setattr(IvfIndex, "search", counted)
    monkeypatch.setattr(IvfIndex, "search_some", some_counted)
    return seen


def share(found: Sequence[IdArray], expected: Sequence[IdArray]) -> float:
    """The share of the expected hits that were found, over all queries."""
    hits = 0
    for one, other in zip(found, expected, strict=True):
        assert len(one) == len(np.unique(one)) == len(other)
        hits += len(np.intersect1d(one, other))
    return hits / sum(map(len, expected))


def ids(found: Sequence[Matches | ImageMatches]) -> list[IdArray]:
    return [match.ids for match in found]


def images(found: Sequence[ImageMatches]) -> list[IdArray]:
    return [match.image_ids for match in found]


def check_same(
    found: Sequence[Sequence[np.ndarray]], other: Sequence[Sequence[np.ndarray]]
) -> None:
    """All arrays of two answers are bit-identical."""
    for one, two in zip(found, other, strict=True):
        for array, expected in zip(one, two, strict=True):
            np.testing.assert_array_equal(array, expected)


def test_the_same_vectors_are_found(
    near: LocalVectorIndex, exact: LocalVectorIndex, calls: list[int]
) -> None:
    found = near.search(QUERIES, 10)
    assert len(calls) == len(QUERIES)
    assert share(ids(found), ids(exact.search(QUERIES, 10))) >= 0.9
    for query, match in zip(QUERIES, found, strict=True):
        stored = np.stack([vector_of(exact, row) for row in match.ids.tolist()])
        np.testing.assert_allclose(match.scores, stored @ query, atol=1e-6)
        assert (np.diff(match.scores) <= 0).all()


def vector_of(index: LocalVectorIndex, row: int) -> FloatArray:
    """The vector of an id of `segment`."""
    own, vectors = index.rows_of_image(row // WINDOWS)
    vector: FloatArray = vectors[own == row][0]
    return vector


def test_the_same_images_are_found(
    near: LocalVectorIndex, exact: LocalVectorIndex, calls: list[int]
) -> None:
    found = near.search_images(QUERIES, 10)
    expected = exact.search_images(QUERIES, 10)
    assert len(calls) >= len(QUERIES)
    assert share(images(found), images(expected)) >= 0.9
    for one, other in zip(found, expected, strict=True):
        assert (np.diff(one.scores) <= 0).all()
        # Where the best window of an image was missed, it scores less; never more.
        assert (one.scores <= other.scores + 1e-6).all()


def test_a_region_belongs_to_its_image(near: LocalVectorIndex) -> None:
    for match in near.search_images(QUERIES, 10):
        np.testing.assert_array_equal(match.ids // WINDOWS, match.image_ids)


def test_what_came_after_the_ivf_index_is_found(near: LocalVectorIndex) -> None:
    for image in (TAIL_IMAGE, TAIL_IMAGE + 49):
        own, vectors = near.rows_of_image(image)
        [by_image] = near.search_images(vectors[3:4], 1)
        assert by_image.image_ids.tolist() == [image]
        [match] = near.search(vectors[3:4], 1)
        assert match.ids.tolist() == [own[3]] == [image * WINDOWS + 3]


def test_removed_images_are_never_found(
    ivf: IvfIndex, near: LocalVectorIndex, calls: list[int]
) -> None:
    gone = np.unique(np.concatenate(images(near.search_images(QUERIES, 10))))
    calls.clear()
    without = LocalVectorIndex(DIMENSION, SEGMENTS, ivf, gone)
    rows, owners = ids(without.search(QUERIES, 10)), images(without.search_images(QUERIES, 10))
    assert calls
    for found in (*owners, *(own // WINDOWS for own in rows)):
        assert len(found) == 10
        assert not np.isin(found, gone).any()


@pytest.mark.parametrize(("count", "by_ivf"), [(5, False), (300, True)])
def test_only_what_is_allowed_is_found(
    near: LocalVectorIndex, exact: LocalVectorIndex, calls: list[int], count: int, by_ivf: bool
) -> None:
    allowed = ImageSet.of(np.random.default_rng(9).choice(IMAGES, count, replace=False))
    k = min(10, count)
    owners = images(near.search_images(QUERIES, k, allowed))
    rows = ids(near.search(QUERIES, 10, allowed))
    assert bool(calls) == by_ivf
    for found in (*owners, *(own // WINDOWS for own in rows)):
        assert allowed.has(found).all()
    least = 0.9 if by_ivf else 1.0
    assert share(owners, images(exact.search_images(QUERIES, k, allowed))) >= least
    assert share(rows, ids(exact.search(QUERIES, 10, allowed))) >= least


def test_unknown_or_no_images_allowed(near: LocalVectorIndex) -> None:
    for allowed in ([], [-5, 10**9], [*range(10**6, 10**6 + 200)]):
        for match in near.search_images(QUERIES, 10, ImageSet.of(allowed)):
            assert match.image_ids.shape == match.ids.shape == match.scores.shape == (0,)


@pytest.mark.parametrize("k", [1, 25, 74, 100, 300, len(IMAGES), 10_000])
def test_there_are_as_many_hits_as_asked_for(near: LocalVectorIndex, k: int) -> None:
    for found in images(near.search_images(QUERIES[:3], k)):
        assert len(found) == min(k, len(IMAGES))
    for found in ids(near.search(QUERIES[:3], k)):
        assert len(found) == min(k, len(near))
        assert found.min() >= 0


def test_more_than_the_cells_can_give_is_compared_one_by_one(
    ivf: IvfIndex, exact: LocalVectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.store.vectors.ivf_search.WINDOWS_AN_IMAGE", 1)
    few = LocalVectorIndex(DIMENSION, SEGMENTS, IvfIndex(ivf.index, ivf.index_type, nprobe=1))
    check_same(few.search(QUERIES, ROWS), exact.search(QUERIES, ROWS))
    check_same(few.search_images(QUERIES, 500), exact.search_images(QUERIES, 500))


@pytest.mark.parametrize("k", [10, 60])
def test_a_query_finds_the_same_alone_and_beside_others(
    ivf: IvfIndex, monkeypatch: pytest.MonkeyPatch, k: int
) -> None:
    # One cell a query gives some of the queries sixty vectors, and others less.
    few_rows_are(100, monkeypatch)
    monkeypatch.setattr("indexer.store.vectors.ivf_search.WINDOWS_AN_IMAGE", 1)
    index = LocalVectorIndex(DIMENSION, SEGMENTS, IvfIndex(ivf.index, ivf.index_type, nprobe=1))
    together = index.search(QUERIES, k)
    images_together = index.search_images(QUERIES, k)
    for i in range(len(QUERIES)):
        query = QUERIES[i : i + 1]
        check_same(index.search(query, k), together[i : i + 1])
        check_same(index.search_images(query, k), images_together[i : i + 1])


def test_all_rows_in_the_ivf_index(ivf: IvfIndex) -> None:
    index = LocalVectorIndex(DIMENSION, SEGMENTS[:2], ivf)
    assert all(len(found) == 10 for found in images(index.search_images(QUERIES, 10)))


def test_an_empty_segment_after_the_ivf_index(ivf: IvfIndex, near: LocalVectorIndex) -> None:
    none = segment_of(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, DIMENSION), "f2"))
    index = LocalVectorIndex(DIMENSION, [*SEGMENTS[:2], none, *SEGMENTS[2:]], ivf)
    check_same(index.search(QUERIES, 10), near.search(QUERIES, 10))


def test_an_ivf_index_of_other_rows_is_refused(ivf: IvfIndex) -> None:
    for parts in (SEGMENTS[:1], SEGMENTS[1:], []):
        with pytest.raises(ValueError, match=f"{ROWS} rows of the IVF index"):
            LocalVectorIndex(DIMENSION, parts, ivf)
