"""A filtered search finds what NumPy finds among the allowed images, for every index type."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.arrays import FloatArray, IdArray
from indexer.choices import INDEX_TYPES, IndexType
from indexer.image_set import ImageSet
from indexer.store.vectors import ivf_search, local_index
from indexer.store.vectors.image_matches import Matches
from indexer.store.vectors.local_index import LocalVectorIndex
from indexer.store.vectors.row_bitmap import RowBitmap
from indexer.store.vectors.segments import Rows
from tests.clusters import DIMENSION, clustered, segment, trained
from tests.segments import segment_of

# The first two are in the IVF index; the third came later, and its first row is not on a byte.
SEGMENTS = [segment(1, 4003), segment(1001, 2000, seed=3), segment(2001, 500, seed=4)]
ROW_IDS = np.concatenate([part.ids.all() for part in SEGMENTS])
OWNERS = np.concatenate([part.image_ids.all() for part in SEGMENTS])
VECTORS = np.concatenate([part.vectors.all() for part in SEGMENTS]).astype(np.float32)
IMAGES = np.unique(OWNERS)
REMOVED: IdArray = np.array([5, 1002, 2003, 9999])
FEW = 100  # rows, here: those of ten images
SHARES = [0.5, 0.01, 0.0001]
EXACT = 1e-6


@pytest.fixture(scope="module", autouse=True)
def few_rows() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_index, "FEW_ROWS", FEW)
        patch.setattr(ivf_search, "FEW_ROWS", FEW)
        yield


@pytest.fixture(scope="module", params=INDEX_TYPES)
def index(request: pytest.FixtureRequest) -> LocalVectorIndex:
    index_type: IndexType = request.param
    ivf = None if index_type == "exact" else trained(Rows(SEGMENTS[:2]), index_type)
    return LocalVectorIndex(DIMENSION, SEGMENTS, ivf, REMOVED)


def some_images(count: int, seed: int) -> ImageSet:
    drawn = np.random.default_rng(seed).choice(IMAGES, count, replace=False)
    return ImageSet.of([*drawn.tolist(), -7, 10**12])  # and two that are nowhere


COUNTS = st.sampled_from([0, 1, len(IMAGES), *(max(1, int(s * len(IMAGES))) for s in SHARES)])


def brute_force(query: FloatArray, allowed: ImageSet, *, by_image: bool) -> dict[int, float]:
    """The score of each vector, or each image, that may be found."""
    keep = np.isin(OWNERS, allowed.ids) & ~np.isin(OWNERS, REMOVED)
    scores: dict[int, float] = {}
    numbers = OWNERS if by_image else ROW_IDS
    found = (VECTORS[keep] @ query).tolist()
    for number, score in zip(numbers[keep].tolist(), found, strict=True):
        scores[number] = max(score, scores.get(number, -2.0))
    return scores


@given(COUNTS, st.integers(0, 10_000), st.integers(1, 60), st.booleans())
@settings(max_examples=60, deadline=None)
def test_it_is_brute_force(
    index: LocalVectorIndex, count: int, seed: int, k: int, by_image: bool
) -> None:
    allowed = some_images(count, seed)
    queries = clustered(seed, rows=2)
    found: list[Matches] = index.search(queries, k, allowed)
    if by_image:
        by_images = index.search_images(queries, k, allowed)
        found = [Matches(match.image_ids, match.scores) for match in by_images]
    for query, match in zip(queries, found, strict=True):
        true = brute_force(query, allowed, by_image=by_image)
        ids = match.ids.tolist()
        best = sorted(true.values(), reverse=True)[:k]
        assert len(set(ids)) == len(ids) == len(best)
        assert set(ids) <= set(true)
        if by_image and index.ivf is not None and count > FEW // 10:
            # A worse window of an image may be all that an approximate search meets.
            assert all(
                s <= true[i] + EXACT for i, s in zip(ids, match.scores.tolist(), strict=True)
            )
        else:
            np.testing.assert_allclose(match.scores, [true[i] for i in ids], atol=EXACT)
        assert (np.diff(match.scores) <= 0).all()
        if index.ivf is None or count <= FEW // 10:
            np.testing.assert_allclose(match.scores, best, atol=EXACT)


@pytest.mark.parametrize("count", [30, 150, 600])
def test_few_hits_are_lost_however_many_images_are_allowed(
    index: LocalVectorIndex, count: int
) -> None:
    queries, hits, wanted = clustered(9, rows=30), 0, 0
    for seed, query in enumerate(queries):
        allowed = some_images(count, seed)
        [match] = index.search(query[None], 10, allowed)
        true = brute_force(query, allowed, by_image=False)
        best = sorted(true, key=lambda i: -true[i])[:10]
        hits, wanted = hits + len({*best} & {*match.ids.tolist()}), wanted + len(best)
    assert hits >= (1.0 if index.ivf is None else 0.97) * wanted


@given(st.lists(st.integers(1, 40), max_size=5), st.data())
def test_a_bitmap_says_which_rows_may_be_found(sizes: list[int], data: st.DataObject) -> None:
    ids = st.lists(st.integers(0, 30) | st.sampled_from([10**9, -(2**62)]))
    owners = [
        np.sort(data.draw(st.lists(st.integers(0, 30), min_size=n, max_size=n))) for n in sizes
    ]
    allowed = data.draw(st.none() | ids.map(ImageSet.of))
    removed = np.array(data.draw(ids), np.int64)
    parts = [
        segment_of(np.arange(len(o)), o.astype(np.int64), np.zeros((len(o), 1), np.float16))
        for o in owners
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.store.vectors.row_bitmap.MARKED_ROWS", data.draw(st.integers(1, 50)))
        patch.setattr("indexer.store.vectors.row_bitmap.TABLE_SHARE", data.draw(st.integers(0, 8)))
        bitmap = RowBitmap.of(parts, allowed, removed)
    all_owners = np.concatenate([np.empty(0, np.int64), *owners])
    wanted = ~np.isin(all_owners, removed)
    if allowed is not None:
        wanted &= allowed.has(all_owners)
    start = data.draw(st.integers(0, len(wanted)))
    stop = data.draw(st.integers(start, len(wanted)))
    assert bitmap.span(start, stop).tolist() == wanted[start:stop].tolist()
    ends = np.cumsum([0, *sizes], dtype=int)
    counts = [int(wanted[a:b].sum()) for a, b in itertools.pairwise(ends)]
    assert list(bitmap.counts) == counts


def test_rows_are_noted_once_for_a_filter(
    index: LocalVectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    of = RowBitmap.of

    def counted(*arguments: object) -> RowBitmap:
        made.append(1)
        return of(*arguments)  # type: ignore[arg-type]  # passed on as they come

    monkeypatch.setattr(RowBitmap, "of", counted)
    for _ in range(3):
        for seed in (21, 22):
            index.search_images(clustered(9, rows=3), 5, some_images(200, seed))
    assert len(made) == 2
