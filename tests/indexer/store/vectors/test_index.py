from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from indexer.arrays import FloatArray, HalfArray, IdArray
from indexer.image_set import ImageSet
from indexer.memory import Memory
from indexer.store.vectors import local_index as index_module
from indexer.store.vectors.image_matches import QUERIES_AT_ONCE
from indexer.store.vectors.local_index import NO_IDS, LocalVectorIndex
from indexer.store.vectors.segment_files import write_segment
from indexer.store.vectors.segments import Segment
from tests.clusters import DIMENSION, WINDOWS, segment
from tests.segments import segment_at, segment_of

EXACT = 1e-6  # what scores may differ from a sum in another order


def unit_rows(seed: int, rows: int, dimension: int) -> FloatArray:
    drawn = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    result: FloatArray = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return result


def halves(seed: int, rows: int, dimension: int) -> HalfArray:
    """Unit vectors as a segment stores them."""
    return unit_rows(seed, rows, dimension).astype(np.float16)


def of_images(ids: IdArray, vectors: HalfArray) -> Segment:
    """Return a segment of whole images, one vector each."""
    return segment_of(ids, ids, vectors)


def check_same(
    found: Sequence[Sequence[np.ndarray]], other: Sequence[Sequence[np.ndarray]]
) -> None:
    """All arrays of two answers are bit-identical."""
    for one, two in zip(found, other, strict=True):
        for array, expected in zip(one, two, strict=True):
            assert array.dtype == expected.dtype
            np.testing.assert_array_equal(array, expected)


# --- search ---------------------------------------------------------------------------------------


@dataclass
class Case:
    """An index of several segments, what it was filled with, and a question."""

    segments: list[Segment]
    rows: dict[int, FloatArray]  # by id, as float16 holds them
    queries: FloatArray
    k: int
    allowed: ImageSet | None

    @property
    def dimension(self) -> int:
        return int(self.queries.shape[1])

    @property
    def ids(self) -> IdArray:
        return np.array([*self.rows], np.int64)

    def index(self, removed: IdArray = NO_IDS) -> LocalVectorIndex:
        return LocalVectorIndex(self.dimension, self.segments, removed=removed)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    dimension = draw(st.integers(1, 8))
    sizes = draw(st.lists(st.integers(0, 12), max_size=4))
    seed = draw(st.integers(0, 1000))
    total = sum(sizes)
    ids = np.random.default_rng(seed).permutation(3 * total + 1)[:total].astype(np.int64)
    rows = halves(seed, total, dimension)
    if total and draw(st.booleans()):
        rows[-1] = rows[0]  # a tie
    segments = []
    for start, stop in itertools.pairwise([0, *np.cumsum(sizes, dtype=int).tolist()]):
        order = np.argsort(ids[start:stop]) + start
        segments.append(of_images(ids[order], rows[order]))
    allowed = draw(st.none() | st.lists(st.integers(0, 3 * total + 2), max_size=total + 3))
    return Case(
        segments,
        dict(zip(ids.tolist(), rows.astype(np.float32), strict=True)),
        unit_rows(seed + 1, draw(st.integers(1, 3)), dimension),
        draw(st.integers(1, total + 3)),
        None if allowed is None else ImageSet.of(allowed),
    )


def check_against_brute_force(case: Case, removed: IdArray = NO_IDS) -> None:
    wanted = case.ids[~np.isin(case.ids, removed)]
    if case.allowed is not None:
        wanted = wanted[case.allowed.has(wanted)]
    count = min(case.k, len(wanted))
    found = case.index(removed).search(case.queries, case.k, case.allowed)
    assert len(found) == len(case.queries)
    for query, (ids, scores) in zip(case.queries, found, strict=True):
        assert ids.shape == scores.shape == (count,)
        assert [ids.dtype, scores.dtype] == [np.int64, np.float32]
        assert len(np.unique(ids)) == count
        assert np.isin(ids, wanted).all()  # so never -1
        exact = [float(query @ case.rows[i]) for i in ids.tolist()]
        np.testing.assert_allclose(scores, exact, atol=EXACT)
        best = sorted((float(query @ case.rows[i]) for i in wanted.tolist()), reverse=True)
        np.testing.assert_allclose(scores, best[:count], atol=EXACT)
        for (i, a), (j, b) in itertools.pairwise(zip(ids, scores, strict=True)):
            assert a > b or (a == b and i < j)


@given(cases())
def test_search_is_brute_force(case: Case) -> None:
    check_against_brute_force(case)
    assert len(case.index()) == len(case.ids)


@given(cases(), st.data())
def test_removed_vectors_are_never_found(case: Case, data: st.DataObject) -> None:
    gone = np.array(data.draw(st.lists(st.sampled_from([*case.rows, 10**9]))), np.int64)
    check_against_brute_force(case, gone)
    assert len(case.index(gone)) == (~np.isin(case.ids, gone)).sum()


@given(cases())
def test_vectors_that_are_added_and_removed_change_nothing(case: Case) -> None:
    before = case.index().search(case.queries, case.k, case.allowed)
    new = np.array([10**12, 10**12 + 1], np.int64)
    segments = [*case.segments, of_images(new, halves(7, 2, case.dimension))]
    after = LocalVectorIndex(case.dimension, segments, removed=new)
    check_same(after.search(case.queries, case.k, case.allowed), before)


@given(cases(), st.integers(1, 5))
@settings(max_examples=50)
def test_blocks_make_no_difference(case: Case, rows: int) -> None:
    whole = case.index().search(case.queries, case.k, case.allowed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "BLOCK_ROWS", rows)
        check_same(case.index().search(case.queries, case.k, case.allowed), whole)


@pytest.mark.parametrize("count", [0, 1, 2, QUERIES_AT_ONCE, QUERIES_AT_ONCE + 3])
def test_however_many_queries_come_together(count: int) -> None:
    rows, queries = halves(4, 50, 6), unit_rows(5, count, 6)
    found = LocalVectorIndex(6, [of_images(np.arange(50), rows)]).search(queries, 7)
    assert len(found) == count
    for query, match in zip(queries, found, strict=True):
        scores = rows.astype(np.float32) @ query
        assert match.ids.tolist() == np.argsort(-scores)[:7].tolist()
        np.testing.assert_allclose(match.scores, np.sort(scores)[::-1][:7], atol=EXACT)


def test_equal_vectors_are_found_in_the_order_of_their_ids() -> None:
    row = unit_rows(1, 1, 2)
    same = np.repeat(row.astype(np.float16), 3, axis=0)
    parts = [of_images(np.array(ids), same[: len(ids)]) for ids in ([3, 7, 9], [1, 5])]
    [match] = LocalVectorIndex(2, parts).search(row, 5)
    assert match.ids.tolist() == [1, 3, 5, 7, 9]


# --- search by image ------------------------------------------------------------------------------


@dataclass
class GroupedCase:
    """Regions of images in several segments, and a question."""

    segments: list[Segment]
    ids: IdArray
    image_ids: IdArray
    rows: FloatArray  # as float16 holds them
    queries: FloatArray
    k: int
    allowed: ImageSet | None
    removed: IdArray

    def index(self) -> LocalVectorIndex:
        return LocalVectorIndex(self.queries.shape[1], self.segments, removed=self.removed)


@st.composite
def grouped_cases(draw: st.DrawFn) -> GroupedCase:
    dimension = draw(st.integers(1, 6))
    groups = draw(st.lists(st.lists(st.integers(1, 6), max_size=5), max_size=3))
    seed = draw(st.integers(0, 1000))
    images = sum(map(len, groups))
    numbers = np.random.default_rng(seed).permutation(3 * images + 1)[:images].astype(np.int64)
    ends = np.cumsum([len(group) for group in groups], dtype=int)
    numbers = np.concatenate([np.sort(part) for part in np.split(numbers, ends)])
    sizes = [size for group in groups for size in group]
    image_ids = np.repeat(numbers, np.array(sizes, int))
    ids = np.arange(len(image_ids), dtype=np.int64) + 1
    rows = halves(seed, len(ids), dimension)
    if len(rows) and draw(st.booleans()):
        rows[-1] = rows[0]  # a tie
    segments, start = [], 0
    for group in groups:
        part = slice(start, start := start + sum(group))
        segments.append(segment_of(ids[part], image_ids[part], rows[part]))
    some = st.lists(st.integers(0, 3 * images + 2), max_size=images + 3)
    allowed = draw(st.none() | some)
    return GroupedCase(
        segments,
        ids,
        image_ids,
        rows.astype(np.float32),
        unit_rows(seed + 1, draw(st.integers(1, 3)), dimension),
        draw(st.integers(1, images + 3)),
        None if allowed is None else ImageSet.of(allowed),
        np.array(draw(some), np.int64),
    )


def check_images_against_brute_force(
    case: GroupedCase, index: LocalVectorIndex | None = None
) -> None:
    wanted = set(case.image_ids.tolist()) - set(case.removed.tolist())
    if case.allowed is not None:
        wanted &= set(case.allowed)
    count = min(case.k, len(wanted))
    index = index or case.index()
    found = index.search_images(case.queries, case.k, case.allowed)
    assert len(found) == len(case.queries)
    for query, match in zip(case.queries, found, strict=True):
        assert all(array.shape == (count,) for array in match)
        assert [array.dtype for array in match] == [np.int64, np.int64, np.float32]
        scores = case.rows @ query

        def score(image: int, scores: FloatArray = scores) -> float:
            own = scores[case.image_ids == image]
            return float(own.max())

        images = match.image_ids.tolist()
        assert len(set(images)) == len(images)
        assert set(images) <= wanted
        np.testing.assert_allclose(match.scores, [score(i) for i in images], atol=EXACT)
        best = sorted(map(score, wanted), reverse=True)[:count]
        np.testing.assert_allclose(match.scores, best, atol=EXACT)
        for (i, a), (j, b) in itertools.pairwise(zip(images, match.scores, strict=True)):
            assert a > b or (a == b and i < j)
        for image, region in zip(images, match.ids.tolist(), strict=True):
            own = case.image_ids == image
            assert region in case.ids[own].tolist()
            [at] = np.flatnonzero(case.ids == region)
            assert scores[at] >= scores[own].max() - EXACT


@given(grouped_cases())
def test_search_by_image_is_brute_force(case: GroupedCase) -> None:
    check_images_against_brute_force(case)


@given(grouped_cases(), st.sampled_from([0, 1, 4]))
@settings(max_examples=50)
def test_many_images_allowed(case: GroupedCase, few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "FEW_ROWS", few)
        check_images_against_brute_force(case)


@given(grouped_cases(), st.integers(1, 8))
@settings(max_examples=50)
def test_blocks_cut_no_image_in_two(case: GroupedCase, rows: int) -> None:
    whole = case.index().search_images(case.queries, case.k, case.allowed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "BLOCK_ROWS", rows)
        patch.setattr(index_module, "FEW_ROWS", 0)
        check_images_against_brute_force(case)
        parts = case.index().search_images(case.queries, case.k, case.allowed)
    check_same(parts, whole)


@given(grouped_cases())
@settings(max_examples=30)
def test_blocks_that_are_not_kept_make_no_difference(case: GroupedCase) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.memory.shared_memory", lambda: Memory(40))
        patch.setattr(index_module, "FEW_ROWS", 0)
        index = case.index()
        for _ in range(2):
            check_images_against_brute_force(case, index)


@given(grouped_cases())
@settings(max_examples=30)
def test_searching_again_gives_the_same_also_after_another_question(case: GroupedCase) -> None:
    index = case.index()
    before = index.search_images(case.queries, case.k)
    check_images_against_brute_force(case, index)
    check_same(index.search_images(case.queries, case.k), before)


def test_an_image_counts_by_its_best_vector_wherever_it_is() -> None:
    whole_first = np.array([[1, 0], [0, 1]], np.float16)
    part_first = whole_first[::-1].copy()
    numbers = np.array([1, 2, 3, 4]), np.array([10, 10, 20, 20])
    index = LocalVectorIndex(2, [segment_of(*numbers, np.vstack([part_first, whole_first]))])
    query = np.array([[1, 0]], np.float32)
    [by_part] = index.search_images(query, 2)
    assert by_part.image_ids.tolist() == [10, 20]  # a tie
    assert by_part.ids.tolist() == [2, 3]


def test_removed_images_take_their_regions_with_them() -> None:
    # Image 2 is gone; regions 1, 2 and 3 of image 7 share no more than a number with it.
    part = segment_of(np.arange(1, 6), np.array([2, 2, 7, 7, 7]), halves(1, 5, 3))
    index = LocalVectorIndex(3, [part], removed=np.array([2]))
    [match] = index.search_images(unit_rows(2, 1, 3), 9)
    assert match.image_ids.tolist() == [7]
    assert len(index) == 3
    assert index.live_ids().tolist() == [3, 4, 5]
    assert index.rows_of_image(7)[0].tolist() == [3, 4, 5]
    with pytest.raises(KeyError, match="2"):
        index.rows_of_image(2)


# --- scores depend on the query and the vector alone ----------------------------------------------

LARGE = 384  # a dimension whose sums are rounded in many places


@pytest.fixture(scope="module")
def regions() -> LocalVectorIndex:
    """Vectors of images of ten regions in two segments, with many that are nearly the same."""
    parts = []
    for first, rows in ((1, 3000), (301, 1500)):
        near = unit_rows(first, rows // 30, LARGE).repeat(30, axis=0)
        near += 1e-3 * unit_rows(first + 1, rows, LARGE)
        vectors = (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float16)
        image_ids = first + np.arange(rows) // WINDOWS
        parts.append(segment_of(first * WINDOWS + np.arange(rows), image_ids, vectors))
    return LocalVectorIndex(LARGE, parts)


@pytest.mark.parametrize("k", [1, 10, 100, 10_000])
def test_a_query_finds_the_same_alone_beside_others_and_on_one_thread(
    regions: LocalVectorIndex, k: int
) -> None:
    queries = unit_rows(8, 21, LARGE)
    queries[::3] = regions.sample(10_000)[7 : 7 + 21 * 30 : 90]
    together = regions.search(queries, k)
    images_together = regions.search_images(queries, k)
    for i in range(0, 21, 4):
        query = queries[i : i + 1]
        check_same(regions.search(query, k), together[i : i + 1])
        by_image = regions.search_images(query, k)
        check_same(by_image, images_together[i : i + 1])
    with threadpool_limits(1, "blas"):
        check_same(regions.search(queries, k), together)
        check_same(regions.search_images(queries, k), images_together)
        check_same(regions.search(queries[4:5], k), together[4:5])


def test_a_filter_changes_no_score(regions: LocalVectorIndex) -> None:
    query = unit_rows(9, 1, LARGE)
    [found] = regions.search_images(query, 10_000)
    allowed = ImageSet.of(found.image_ids[::3])
    [filtered] = regions.search_images(query, 10_000, allowed)
    check_same([filtered], [[array[::3] for array in found]])


@pytest.mark.parametrize("k", [1, 7, 50, 299])
@pytest.mark.parametrize("block", [64, 65_536])
def test_duplicates_across_the_last_place_come_by_their_ids(
    monkeypatch: pytest.MonkeyPatch, k: int, block: int
) -> None:
    monkeypatch.setattr(index_module, "BLOCK_ROWS", block)
    random = np.random.default_rng(3)
    query = unit_rows(4, 1, LARGE)
    rows = halves(5, 600, LARGE)
    alike = random.permutation(np.repeat([True, False], 300))
    rows[alike] = query.astype(np.float16)
    owners = random.permutation(1000)[:600]
    order = [np.sort(part) for part in np.split(owners, [250])]
    parts = [of_images(order[0], rows[:250]), of_images(order[1], rows[250:])]
    expected = np.sort(np.concatenate(order)[alike])[:k].tolist()
    index = LocalVectorIndex(LARGE, parts)
    for queries in (query, np.vstack([query, unit_rows(6, 20, LARGE)])):
        match = index.search(queries, k)[0]
        assert match.ids.tolist() == expected
        by_image = index.search_images(queries, k)[0]
        assert by_image.image_ids.tolist() == by_image.ids.tolist() == expected
    assert len(np.unique(match.scores)) == 1


# --- look-up --------------------------------------------------------------------------------------

SEGMENTS = [segment(1, 400), segment(101, 200, seed=3), segment(201, 50, seed=4)]


def test_rows_of_several_images_in_any_order() -> None:
    index = LocalVectorIndex(DIMENSION, SEGMENTS, removed=np.array([7]))
    asked = np.array([201, 4, 999_999, 7, 103, 4], np.int64)
    places, ids, vectors = index.rows_of_images(asked)
    assert [ids.dtype, vectors.dtype] == [np.int64, np.float32]
    assert len(places) == len(ids) == len(vectors)
    for place, image in enumerate(asked.tolist()):
        own = places == place
        if image in (999_999, 7):
            assert not own.any()
            continue
        expected = [(s, s.image_ids.all() == image) for s in SEGMENTS]
        assert ids[own].tolist() == [int(i) for s, rows in expected for i in s.ids.all()[rows]]
        stored = np.concatenate([s.vectors.all()[rows] for s, rows in expected])
        np.testing.assert_array_equal(vectors[own], stored.astype(np.float32))
        by_one = index.rows_of_image(image)
        check_same([by_one], [(ids[own], vectors[own])])


@pytest.mark.parametrize("asked", [[], [999_999]])
def test_rows_of_no_images(asked: list[int]) -> None:
    index = LocalVectorIndex(DIMENSION, SEGMENTS)
    places, ids, vectors = index.rows_of_images(np.array(asked, np.int64))
    assert (places.shape, ids.shape, vectors.shape) == ((0,), (0,), (0, DIMENSION))


@given(cases())
@settings(max_examples=50)
def test_vectors_come_back_as_they_are_stored(case: Case) -> None:
    index = case.index()
    for image in [*case.rows, 10**9]:
        if image in case.rows:
            ids, vectors = index.rows_of_image(image)
            assert ids.tolist() == [image]
            np.testing.assert_array_equal(vectors[0], case.rows[image])
        else:
            with pytest.raises(KeyError, match=str(image)):
                index.rows_of_image(image)


def test_live_ids_are_those_of_the_images_that_are_left() -> None:
    parts = [segment(1, 30), segment(4, 20)]
    everything = np.arange(50) + WINDOWS
    np.testing.assert_array_equal(LocalVectorIndex(DIMENSION, parts).live_ids(), everything)
    index = LocalVectorIndex(DIMENSION, parts, removed=np.array([2, 5, 99]))
    live = index.live_ids()
    assert live.dtype == np.int64
    assert len(live) == len(index) == 30
    np.testing.assert_array_equal(live, everything[~np.isin(everything // WINDOWS, [2, 5])])
    emptied = LocalVectorIndex(DIMENSION, parts, removed=np.arange(1, 6))
    assert emptied.live_ids().tolist() == []
    assert len(emptied) == 0


def test_live_ids_come_in_the_order_of_commits() -> None:
    assert LocalVectorIndex(DIMENSION).live_ids().tolist() == []
    parts = [
        of_images(np.array(ids), segment(0, len(ids)).vectors.all())
        for ids in ([3, 7], [5], [1, 2])
    ]
    assert LocalVectorIndex(DIMENSION, parts).live_ids().tolist() == [3, 7, 5, 1, 2]


@pytest.mark.parametrize("count", [60, 649, 650, 10_000])
def test_a_sample_is_spread_over_all_that_is_left(count: int) -> None:
    removed = np.array([2, 102])
    index = LocalVectorIndex(DIMENSION, SEGMENTS, removed=removed)
    sample = index.sample(count)
    rows = np.concatenate([s.vectors.all()[~np.isin(s.image_ids.all(), removed)] for s in SEGMENTS])
    stored = {row.tobytes() for row in rows.astype(np.float32)}
    assert {row.tobytes() for row in sample} <= stored
    assert sample.dtype == np.float32
    if count >= 650:
        np.testing.assert_array_equal(sample, rows.astype(np.float32))
    else:
        assert 0.8 * count <= len(sample) <= 2 * count


# --- edges ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("removed", [NO_IDS, np.array([3])])
def test_an_empty_index_finds_nothing(removed: IdArray) -> None:
    queries = unit_rows(1, 2, 3)
    for index in (
        LocalVectorIndex(3, removed=removed),
        LocalVectorIndex(3, [of_images(NO_IDS, halves(1, 0, 3))], removed=removed),
    ):
        for match in index.search(queries, 5):
            assert match.ids.shape == match.scores.shape == (0,)
        for by_image in index.search_images(queries, 5):
            assert all(array.shape == (0,) for array in by_image)
        assert index.sample(5).shape == (0, 3)


@pytest.mark.parametrize("by_image", [False, True])
@pytest.mark.parametrize(
    ("queries", "k", "error"),
    [
        (unit_rows(1, 1, 4), 0, ValueError),
        (unit_rows(1, 1, 3), 1, ValueError),
        (unit_rows(1, 1, 4)[0], 1, ValueError),
        (np.full((1, 4), np.nan, np.float32), 1, ValueError),
        (unit_rows(1, 1, 4).astype(np.float16), 1, TypeError),
    ],
    ids=["k", "width", "1-d", "nan", "f16"],
)
def test_wrong_arguments(queries: Any, k: int, error: type[Exception], by_image: bool) -> None:
    index = LocalVectorIndex(4, [of_images(np.array([7]), halves(2, 1, 4))])
    with pytest.raises(error):
        (index.search_images if by_image else index.search)(queries, k)


def test_an_index_needs_a_dimension() -> None:
    with pytest.raises(ValueError, match="dimension"):
        LocalVectorIndex(0)


def test_an_index_over_memory_maps(tmp_path: Path) -> None:
    values = unit_rows(1, 5, 4)
    write_segment(tmp_path, "00000001-conv", np.arange(5), np.arange(5), values)
    index = LocalVectorIndex(4, [segment_at(tmp_path, "00000001-conv", 5, 4)])
    assert [match.ids.tolist() for match in index.search(values, 1)] == [[0], [1], [2], [3], [4]]
