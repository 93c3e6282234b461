from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import StoreCorruptError
from indexer.store import vectors
from indexer.store.segments import FloatArray, IdArray, Segment, read_segment, write_segment
from indexer.store.vectors import VectorIndex


def unit_rows(seed: int, rows: int, dimension: int) -> FloatArray:
    """Random unit vectors that float16 holds exactly enough for a comparison by 0.002."""
    drawn = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    result: FloatArray = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return result


@dataclass
class Case:
    """An index filled in parts, what it was filled with, and a question."""

    index: VectorIndex
    ids: IdArray
    rows: FloatArray
    queries: FloatArray
    k: int
    allowed: IdArray | None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    dimension = draw(st.integers(1, 8))
    sizes = draw(st.lists(st.integers(0, 12), max_size=4))
    seed = draw(st.integers(0, 1000))
    total = sum(sizes)
    ids = np.random.default_rng(seed).permutation(3 * total + 1)[:total].astype(np.int64)
    rows = unit_rows(seed, total, dimension)
    if total and draw(st.booleans()):
        rows[-1] = rows[0]  # a tie
    index = VectorIndex(dimension)
    for start, stop in itertools.pairwise([0, *np.cumsum(sizes, dtype=int).tolist()]):
        index.add(ids[start:stop], rows[start:stop])
    allowed = draw(st.none() | st.lists(st.integers(0, 3 * total + 2), max_size=total + 3))
    return Case(
        index,
        ids,
        rows,
        unit_rows(seed + 1, draw(st.integers(1, 3)), dimension),
        draw(st.integers(1, total + 3)),
        None if allowed is None else np.array(allowed, np.int64),
    )


def check_against_brute_force(case: Case, live: IdArray) -> None:
    wanted = live if case.allowed is None else live[np.isin(live, case.allowed)]
    count = min(case.k, len(wanted))
    found, scores = case.index.search(case.queries, case.k, case.allowed)
    assert found.shape == scores.shape == (len(case.queries), count)
    assert found.dtype == np.int64
    by_id = dict(zip(case.ids.tolist(), case.rows, strict=True))
    for query, got, got_scores in zip(case.queries, found.tolist(), scores, strict=True):
        assert len(set(got)) == len(got)
        assert set(got) <= set(wanted.tolist())  # so never -1
        exact = np.array([query @ by_id[i] for i in got], np.float32)
        np.testing.assert_allclose(got_scores, exact, atol=2e-3)
        best = sorted((float(query @ by_id[i]) for i in wanted.tolist()), reverse=True)[:count]
        np.testing.assert_allclose(got_scores, best, atol=2e-3)
        assert (np.diff(got_scores) <= 0).all()
        for (i, a), (j, b) in itertools.pairwise(zip(got, got_scores, strict=True)):
            assert a > b or i < j


@given(cases())
def test_search_is_brute_force(case: Case) -> None:
    check_against_brute_force(case, case.ids)
    assert len(case.index) == len(case.ids)


@given(cases(), st.data())
def test_removed_vectors_are_never_found(case: Case, data: st.DataObject) -> None:
    gone = data.draw(st.lists(st.sampled_from([*case.ids.tolist(), 10**9])))
    case.index.remove(np.array(gone, np.int64))
    live = case.ids[~np.isin(case.ids, gone)]
    check_against_brute_force(case, live)
    assert len(case.index) == len(live)


@given(cases())
def test_add_then_remove_changes_nothing(case: Case) -> None:
    before = case.index.search(case.queries, case.k, case.allowed)
    new = np.array([10**12, 10**12 + 1], np.int64)
    case.index.add(new, unit_rows(7, 2, case.index.dimension))
    case.index.remove(new)
    after = case.index.search(case.queries, case.k, case.allowed)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


@given(cases())
@settings(max_examples=30)
def test_chunks_make_no_difference(case: Case) -> None:
    whole = case.index.search(case.queries, case.k, case.allowed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "SCANNED_ROWS", 3)
        parts = case.index.search(case.queries, case.k, case.allowed)
    np.testing.assert_allclose(parts[1], whole[1], atol=1e-6)


# --- search by image ---------------------------------------------------------------------------


@dataclass
class GroupedCase:
    """An index of regions of images, what it was filled with, and a question."""

    index: VectorIndex
    ids: IdArray
    image_ids: IdArray
    rows: FloatArray  # as float16 holds them
    queries: FloatArray
    k: int
    allowed: IdArray | None
    gone: IdArray
    whole: float


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
    rows = unit_rows(seed, len(ids), dimension).astype(np.float16)
    if len(rows) and draw(st.booleans()):
        rows[-1] = rows[0]  # a tie
    segments, start = [], 0
    for group in groups:
        part = slice(start, start := start + sum(group))
        segments.append(Segment(ids[part], image_ids[part], rows[part]))
    some = st.lists(st.integers(0, 3 * images + 2), max_size=images + 3)
    allowed = draw(st.none() | some)
    gone = np.array(draw(some), np.int64)
    index = VectorIndex(dimension, segments)
    index.remove(gone)
    return GroupedCase(
        index,
        ids,
        image_ids,
        rows.astype(np.float32),
        unit_rows(seed + 1, draw(st.integers(1, 3)), dimension),
        draw(st.integers(1, images + 3)),
        None if allowed is None else np.array(allowed, np.int64),
        gone,
        draw(st.sampled_from([0.0, 0.5, 2.0])),
    )


def check_images_against_brute_force(case: GroupedCase) -> None:
    wanted = set(case.image_ids.tolist()) - set(case.gone.tolist())
    if case.allowed is not None:
        wanted &= set(case.allowed.tolist())
    count = min(case.k, len(wanted))
    found = case.index.search_images(case.queries, case.k, case.allowed, case.whole)
    for array in found:
        assert array.shape == (len(case.queries), count)
    assert found.image_ids.dtype == found.ids.dtype == np.int64
    for q, query in enumerate(case.queries):
        scores = case.rows @ query

        def score(image: int, scores: FloatArray = scores) -> float:
            own = scores[case.image_ids == image]
            return float((own.max() + case.whole * own[0]) / (1 + case.whole))

        images = found.image_ids[q].tolist()
        assert len(set(images)) == len(images)
        assert set(images) <= wanted
        exact = [score(image) for image in images]
        np.testing.assert_allclose(found.scores[q], exact, atol=1e-5)
        best = sorted(map(score, wanted), reverse=True)[:count]
        np.testing.assert_allclose(found.scores[q], best, atol=1e-5)
        assert (np.diff(found.scores[q]) <= 0).all()
        for image, region in zip(images, found.ids[q].tolist(), strict=True):
            own = case.image_ids == image
            assert region in case.ids[own].tolist()
            [at] = np.flatnonzero(case.ids == region)
            assert scores[at] >= scores[own].max() - 1e-6


@given(grouped_cases())
def test_search_by_image_is_brute_force(case: GroupedCase) -> None:
    check_images_against_brute_force(case)


@given(grouped_cases(), st.sampled_from([0, 1, 4]))
@settings(max_examples=50)
def test_many_images_allowed(case: GroupedCase, few: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "FEW_ROWS", few)
        check_images_against_brute_force(case)


@given(grouped_cases(), st.integers(1, 8))
@settings(max_examples=50)
def test_blocks_cut_no_image_in_two(case: GroupedCase, rows: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "SCANNED_ROWS", rows)
        patch.setattr(vectors, "FEW_ROWS", 0)
        check_images_against_brute_force(case)


@given(grouped_cases())
@settings(max_examples=30)
def test_blocks_that_are_not_kept_make_no_difference(case: GroupedCase) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "KEPT_BYTES", 40)
        patch.setattr(vectors, "FEW_ROWS", 0)
        check_images_against_brute_force(case)
        check_images_against_brute_force(case)


@given(grouped_cases())
@settings(max_examples=30)
def test_searching_again_gives_the_same_also_after_another_question(case: GroupedCase) -> None:
    before = case.index.search_images(case.queries, case.k)
    check_images_against_brute_force(case)
    after = case.index.search_images(case.queries, case.k)
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_whole_image_counts_by_its_weight() -> None:
    whole_first = np.array([[1, 0], [0, 1]], np.float16)
    part_first = whole_first[::-1].copy()
    numbers = np.array([1, 2, 3, 4]), np.array([10, 10, 20, 20])
    index = VectorIndex(2, [Segment(*numbers, np.vstack([part_first, whole_first]))])
    query = np.array([[1, 0]], np.float32)
    by_part = index.search_images(query, 2)
    assert by_part.image_ids.tolist() == [[10, 20]]  # a tie
    assert by_part.ids.tolist() == [[2, 3]]
    weighed = index.search_images(query, 2, whole=0.5)
    assert weighed.image_ids.tolist() == [[20, 10]]
    assert weighed.ids.tolist() == [[3, 2]]
    np.testing.assert_allclose(weighed.scores, [[1, 1 / 1.5]], atol=1e-6)


def test_removed_images_take_their_regions_with_them() -> None:
    # Image 2 is gone; regions 1, 2 and 3 of image 7 share no more than a number with it.
    segment = Segment(np.arange(1, 6), np.array([7, 7, 7, 2, 2]), unit_rows(1, 5, 3).astype("f2"))
    index = VectorIndex(3, [segment])
    index.remove(np.array([2]))
    assert index.search_images(unit_rows(2, 1, 3), 9).image_ids.tolist() == [[7]]
    assert len(index) == 3
    assert index.vectors_of(np.array([2])).shape == (1, 3)
    with pytest.raises(KeyError, match="5"):
        index.vectors_of(np.array([5]))


@pytest.mark.parametrize(
    ("queries", "k", "error"),
    [
        (unit_rows(1, 1, 4), 0, ValueError),
        (unit_rows(1, 1, 3), 1, ValueError),
        (unit_rows(1, 1, 4).astype(np.float16), 1, TypeError),
    ],
)
def test_wrong_arguments_of_search_by_image(queries: Any, k: int, error: type[Exception]) -> None:
    index = VectorIndex(4)
    index.add(np.array([7]), unit_rows(2, 1, 4))
    with pytest.raises(error):
        index.search_images(queries, k)


def test_an_empty_index_finds_no_images() -> None:
    for array in VectorIndex(3).search_images(unit_rows(1, 2, 3), 5):
        assert array.shape == (2, 0)


@given(cases())
def test_vectors_come_back_by_id(case: Case) -> None:
    wanted = case.ids[::-1]
    np.testing.assert_allclose(case.index.vectors_of(wanted), case.rows[::-1], atol=1e-3)


def test_vectors_of_unknown_or_removed_ids() -> None:
    index = VectorIndex(2)
    index.add(np.array([4, 9]), unit_rows(1, 2, 2))
    index.remove(np.array([9]))
    for unknown in (9, 5, 100):
        with pytest.raises(KeyError, match=str(unknown)):
            index.vectors_of(np.array([4, unknown]))


@pytest.mark.parametrize("count", [0, 1, 2, vectors.QUERIES_AT_ONCE, vectors.QUERIES_AT_ONCE + 3])
def test_however_many_queries_come_together(count: int) -> None:
    rows, queries = unit_rows(4, 50, 6), unit_rows(5, count, 6)
    index = VectorIndex(6)
    index.add(np.arange(50), rows)
    ids, scores = index.search(queries, 7)
    expected = np.argsort(-(queries @ rows.T), axis=1)[:, :7]
    assert (ids == expected).mean() > 0.99 if count else ids.shape == (0, 7)
    np.testing.assert_allclose(scores, np.take_along_axis(queries @ rows.T, ids, 1), atol=2e-3)


def test_equal_vectors_are_found_in_the_order_of_their_ids() -> None:
    index = VectorIndex(2)
    row = unit_rows(1, 1, 2)
    index.add(np.array([9, 3, 7, 1, 5]), np.repeat(row, 5, axis=0))
    assert index.search(row, 5)[0].tolist() == [[1, 3, 5, 7, 9]]


def test_an_empty_index_finds_nothing() -> None:
    ids, scores = VectorIndex(3).search(unit_rows(1, 2, 3), 5)
    assert ids.shape == scores.shape == (2, 0)


@pytest.mark.parametrize(
    ("ids", "rows", "error"),
    [
        (np.array([1, 1]), unit_rows(1, 2, 4), ValueError),
        (np.array([0, 7]), unit_rows(1, 2, 4), ValueError),
        (np.array([-1, 1]), unit_rows(1, 2, 4), ValueError),
        (np.array([1.0, 2.0]), unit_rows(1, 2, 4), ValueError),
        (np.array([1, 2, 3]), unit_rows(1, 2, 4), ValueError),
        (np.array([[1, 2]]), unit_rows(1, 2, 4), ValueError),
        (np.array([1, 2]), unit_rows(1, 2, 5), ValueError),
        (np.array([1, 2]), np.full((2, 4), np.nan, np.float32), ValueError),
        (np.array([1, 2]), unit_rows(1, 2, 4).astype(np.float64), TypeError),
        (np.array([1, 2]), np.ones((2, 4), np.int64), TypeError),
    ],
    ids=["twice", "known", "negative", "real", "3 for 2", "2-d", "width", "nan", "f64", "int"],
)
def test_wrong_arguments_of_add_change_nothing(ids: Any, rows: Any, error: type[Exception]) -> None:
    index = VectorIndex(4)
    index.add(np.array([7]), unit_rows(2, 1, 4))
    with pytest.raises(error):
        index.add(ids, rows)
    assert len(index) == 1


@pytest.mark.parametrize(
    ("queries", "k", "error"),
    [
        (unit_rows(1, 1, 4), 0, ValueError),
        (unit_rows(1, 1, 3), 1, ValueError),
        (unit_rows(1, 1, 4)[0], 1, ValueError),
        (unit_rows(1, 1, 4).astype(np.float16), 1, TypeError),
    ],
)
def test_wrong_arguments_of_search(queries: Any, k: int, error: type[Exception]) -> None:
    index = VectorIndex(4)
    index.add(np.array([7]), unit_rows(2, 1, 4))
    with pytest.raises(error):
        index.search(queries, k)


def test_an_index_needs_a_dimension() -> None:
    with pytest.raises(ValueError, match="dimension"):
        VectorIndex(0)


@given(st.integers(1, 20), st.integers(1, 6))
@settings(max_examples=20)
def test_save_then_load_changes_nothing(rows: int, dimension: int) -> None:
    ids, values = np.arange(rows, dtype=np.int64) * 3, unit_rows(rows, rows, dimension)
    with tempfile.TemporaryDirectory() as folder:
        write_segment(Path(folder), "s", ids, ids // 6, values)
        read = read_segment(Path(folder), "s", rows, dimension)
        np.testing.assert_array_equal(read.ids, ids)
        np.testing.assert_array_equal(read.image_ids, ids // 6)
        np.testing.assert_array_equal(read.vectors, values.astype(np.float16))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def pickle(path: Path) -> None:
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)


def scribble(path: Path) -> None:
    path.write_bytes(b"\0" * 200)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def widen(path: Path) -> None:
    np.save(path, np.load(path).astype(np.float64))


def shorten(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


@pytest.mark.parametrize("part", ["ids", "images", "vectors"])
@pytest.mark.parametrize("harm", [truncate, pickle, scribble, empty, widen, shorten, Path.unlink])
def test_a_damaged_segment_is_named(tmp_path: Path, part: str, harm: Any) -> None:
    write_segment(tmp_path, "7-conv", np.arange(5), np.arange(5), unit_rows(1, 5, 4))
    path = tmp_path / f"7-conv.{part}.npy"
    harm(path)
    with pytest.raises(StoreCorruptError, match=r"7-conv.*--rebuild"):
        read_segment(tmp_path, "7-conv", 5, 4)


def test_an_index_over_memory_maps(tmp_path: Path) -> None:
    values = unit_rows(1, 5, 4)
    write_segment(tmp_path, "s", np.arange(5), np.arange(5), values)
    segment: Segment = read_segment(tmp_path, "s", 5, 4)
    index = VectorIndex(4, [segment])
    assert index.search(values, 1)[0].ravel().tolist() == [0, 1, 2, 3, 4]
