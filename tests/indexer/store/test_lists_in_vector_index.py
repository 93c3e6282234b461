"""A vector index with inverted lists finds what one without them finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from indexer.store.approximate import ApproximateIndex, Form
from indexer.store.segments import FloatArray, IdArray, Rows, Segment
from indexer.store.vectors import VectorIndex
from tests.clusters import DIMENSION, ROWS, clustered, segment, trained

QUERIES = clustered(seed=2, rows=40)
TAIL_IMAGE = 2001
SEGMENTS = [segment(1, 4000), segment(1001, 2000, seed=3), segment(TAIL_IMAGE, 500, seed=4)]
IMAGES = np.unique(np.concatenate([part.image_ids for part in SEGMENTS]))


@pytest.fixture(scope="module", params=["balanced", "compact"])
def lists(request: pytest.FixtureRequest) -> ApproximateIndex:
    """The lists of the first two segments; the third came later."""
    form: Form = request.param
    return trained(Rows(SEGMENTS[:2]), form)


@pytest.fixture
def listed(lists: ApproximateIndex, monkeypatch: pytest.MonkeyPatch) -> VectorIndex:
    monkeypatch.setattr("indexer.store.vectors.FEW_ROWS", 100)
    monkeypatch.setattr("indexer.store.listed.FEW_ROWS", 100)
    return VectorIndex(DIMENSION, SEGMENTS, lists)


@pytest.fixture
def exact() -> VectorIndex:
    return VectorIndex(DIMENSION, SEGMENTS)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many were asked for, each time that the lists were searched."""
    seen: list[int] = []
    search = ApproximateIndex.search

    def counted(
        self: ApproximateIndex,
        rows: Rows,
        query: FloatArray,
        k: int,
        keep: npt.NDArray[np.bool_] | None,
    ) -> tuple[IdArray, FloatArray]:
        seen.append(k)
        return search(self, rows, query, k, keep)

    monkeypatch.setattr(ApproximateIndex, "search", counted)
    return seen


def share(found: np.ndarray, expected: np.ndarray) -> float:
    """The share of the expected hits that were found, over all queries."""
    assert found.shape == expected.shape
    assert all(len(set(row)) == len(row) for row in found.tolist())
    hits = [len(np.intersect1d(a, b)) for a, b in zip(found, expected, strict=True)]
    return sum(hits) / expected.size


def test_the_same_vectors_are_found(
    listed: VectorIndex, exact: VectorIndex, calls: list[int]
) -> None:
    ids, scores = listed.search(QUERIES, 10)
    assert len(calls) == len(QUERIES)
    assert share(ids, exact.search(QUERIES, 10)[0]) >= 0.9
    stored = [exact.vectors_of(row) @ query for row, query in zip(ids, QUERIES, strict=True)]
    np.testing.assert_allclose(scores, stored, atol=2e-3)
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("whole", [0.0, 0.5, 2.0])
def test_the_same_images_are_found(
    listed: VectorIndex, exact: VectorIndex, calls: list[int], whole: float
) -> None:
    found = listed.search_images(QUERIES, 10, whole=whole)
    expected = exact.search_images(QUERIES, 10, whole=whole)
    assert len(calls) >= len(QUERIES)
    assert share(found.image_ids, expected.image_ids) >= 0.9
    assert (np.diff(found.scores) <= 0).all()
    # Where the best window of an image was missed, it scores less; never more.
    assert (found.scores <= expected.scores + 2e-3).all()


def test_a_region_belongs_to_its_image(listed: VectorIndex) -> None:
    found = listed.search_images(QUERIES, 10)
    np.testing.assert_array_equal(found.ids // 10, found.image_ids)


def test_what_came_after_the_lists_is_found(listed: VectorIndex) -> None:
    for image in (TAIL_IMAGE, TAIL_IMAGE + 49):
        own = listed.vectors_of_image(image)
        assert listed.search_images(own[3:4], 1).image_ids.tolist() == [[image]]
        assert listed.search(own[3:4], 1)[0].tolist() == [[image * 10 + 3]]


def test_removed_images_are_never_found(listed: VectorIndex, calls: list[int]) -> None:
    gone = np.unique(listed.search_images(QUERIES, 10).image_ids)
    calls.clear()
    listed.remove(gone)
    ids, _ = listed.search(QUERIES, 10)
    images = listed.search_images(QUERIES, 10).image_ids
    assert calls
    assert not np.isin(images, gone).any()
    assert not np.isin(ids // 10, gone).any()
    assert ids.shape == images.shape == (len(QUERIES), 10)


@pytest.mark.parametrize(("count", "by_lists"), [(5, False), (300, True)])
def test_only_what_is_allowed_is_found(
    listed: VectorIndex, exact: VectorIndex, calls: list[int], count: int, by_lists: bool
) -> None:
    allowed = np.sort(np.random.default_rng(9).choice(IMAGES, count, replace=False))
    k = min(10, count)
    found = listed.search_images(QUERIES, k, allowed)
    ids, _ = listed.search(QUERIES, 10, allowed)
    assert bool(calls) == by_lists
    assert np.isin(found.image_ids, allowed).all()
    assert np.isin(ids // 10, allowed).all()
    least = 0.9 if by_lists else 1.0
    assert share(found.image_ids, exact.search_images(QUERIES, k, allowed).image_ids) >= least
    assert share(ids, exact.search(QUERIES, 10, allowed)[0]) >= least


def test_unknown_or_no_images_allowed(listed: VectorIndex) -> None:
    for allowed in ([], [-5, 10**9], [*range(10**6, 10**6 + 200)]):
        found = listed.search_images(QUERIES, 10, np.array(allowed, np.int64))
        assert found.image_ids.shape == (len(QUERIES), 0)


@pytest.mark.parametrize("k", [1, 25, 74, 100, 300, len(IMAGES), 10_000])
def test_there_are_as_many_hits_as_asked_for(listed: VectorIndex, k: int) -> None:
    images = listed.search_images(QUERIES[:3], k).image_ids
    assert images.shape == (3, min(k, len(IMAGES)))
    ids, _ = listed.search(QUERIES[:3], k)
    assert ids.shape == (3, min(k, len(listed)))
    assert ids.min() >= 0


def test_more_than_the_lists_can_give_is_compared_one_by_one(
    lists: ApproximateIndex, exact: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.store.listed.WINDOWS_AN_IMAGE", 1)
    few = ApproximateIndex(lists.index, lists.form, nprobe=1)
    listed = VectorIndex(DIMENSION, SEGMENTS, few)
    for one, other in zip(listed.search(QUERIES, ROWS), exact.search(QUERIES, ROWS), strict=True):
        np.testing.assert_array_equal(one, other)
    found = listed.search_images(QUERIES, 500).image_ids
    np.testing.assert_array_equal(found, exact.search_images(QUERIES, 500).image_ids)


def test_all_rows_in_the_lists(lists: ApproximateIndex) -> None:
    index = VectorIndex(DIMENSION, SEGMENTS[:2], lists)
    assert index.search_images(QUERIES, 10).image_ids.shape == (len(QUERIES), 10)


def test_an_empty_segment_after_the_lists(lists: ApproximateIndex, listed: VectorIndex) -> None:
    none = Segment(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, DIMENSION), "f2"))
    index = VectorIndex(DIMENSION, [*SEGMENTS[:2], none, *SEGMENTS[2:]], lists)
    for one, other in zip(index.search(QUERIES, 10), listed.search(QUERIES, 10), strict=True):
        np.testing.assert_array_equal(one, other)


def test_lists_of_other_rows_are_refused(lists: ApproximateIndex) -> None:
    for parts in (SEGMENTS[:1], SEGMENTS[1:], []):
        with pytest.raises(ValueError, match=f"{ROWS} rows of the lists"):
            VectorIndex(DIMENSION, parts, lists)


def test_rows_of_several_images_in_any_order() -> None:
    index = VectorIndex(DIMENSION, SEGMENTS)
    first, middle = int(IMAGES[3]), int(SEGMENTS[1].image_ids[7])
    asked = np.array([TAIL_IMAGE, first, 999_999, middle], np.int64)
    places, ids, vectors = index.rows_of_images(asked)
    for place, image in enumerate(asked.tolist()):
        own = places == place
        if image == 999_999:
            assert not own.any()
            continue
        assert ids[own].tolist() == index.ids_of_image(image).tolist()
        assert (vectors[own] == index.vectors_of_image(image)).all()
    assert len(ids) == len(places) == len(vectors)
