"""What a store of vectors promises, wherever it keeps them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.arrays import FloatArray
from indexer.errors import StoreChangedError, StoreError
from indexer.image_set import ImageSet
from indexer.store.vectors import milvus_collection, milvus_index
from indexer.store.vectors.faults import WantedRows
from indexer.store.vectors.local_index import LocalVectorIndex
from indexer.store.vectors.milvus_server import MilvusServer
from indexer.store.vectors.milvus_store import MilvusVectorStore
from indexer.store.vectors.milvus_url import MilvusPlace
from tests.clusters import DIMENSION, WINDOWS, clustered
from tests.milvus import MilvusProcess
from tests.segments import segment_of
from tests.vector_stores import KIND, OTHER, PLACES, VectorPlace, ids_of, place_of


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VectorPlace]:
    made = place_of(request.param, request, tmp_path)
    yield made
    made.vectors.drop()
    made.vectors.close()
    made.catalog.close()


def wanted(first_image: int, images: int) -> WantedRows:
    owners = np.repeat(np.arange(first_image, first_image + images), WINDOWS)
    return WantedRows(np.column_stack([ids_of(first_image, images), owners]), np.unique(owners))


def test_there_is_no_index_before_the_first_vectors(place: VectorPlace) -> None:
    assert place.vectors.open_index(KIND) is None
    assert place.vectors.ivf_entry(KIND) is None
    with place.catalog.transaction() as change:
        place.vectors.merge(change, KIND)
        place.vectors.rewrite(change, KIND, swap_halves)
    assert place.vectors.leftovers(place.catalog.state()) == []
    report = place.vectors.update_index(place.catalog.transaction, KIND, "auto", retrain=True)
    assert (report.rows, report.index_type) == (0, "exact")


def test_what_is_appended_is_found(place: VectorPlace) -> None:
    first = place.append(1, 4)
    second = place.append(5, 3, seed=2)
    assert place.vectors.open_index(OTHER) is None
    assert place.live().tolist() == ids_of(1, 7).tolist()
    index = place.index()
    own, vectors = index.rows_of_image(6)
    assert own.tolist() == ids_of(6, 1).tolist()
    np.testing.assert_array_equal(vectors, second[10:20])
    np.testing.assert_array_equal(index.sample(1000), np.vstack([first, second]))
    contents = place.vectors.contents(KIND, place.catalog.state()).read([3, 99, 5])
    assert {i: ids.tolist() for i, (ids, _) in contents.items()} == {
        image: ids_of(image, 1).tolist() for image in (3, 5)
    }
    np.testing.assert_array_equal(contents[5][1], second[:10].astype(np.float16))
    faults = place.vectors.inspect(place.catalog.state(), KIND, wanted(1, 7))
    assert (faults.files, faults.broken, faults.missing) == ([], set(), set())
    faults = place.vectors.inspect(place.catalog.state(), KIND, wanted(2, 7))
    assert (faults.broken, faults.missing) == ({1}, {8})


def test_nothing_is_live_before_the_commit_and_an_error_undoes_it(place: VectorPlace) -> None:
    place.append(1, 1)
    with place.catalog.transaction() as change:
        place.append_in(change, 2, 1)
        change.remove_images([1])
        assert place.live().tolist() == ids_of(1, 1).tolist()
    assert place.live().tolist() == ids_of(2, 1).tolist()
    with pytest.raises(KeyboardInterrupt):
        fail_after_append(place)
    assert place.live().tolist() == ids_of(2, 1).tolist()
    assert len(place.vectors.leftovers(place.catalog.state())) == 1
    again = place.append(3, 1, seed=4)  # nothing is in its way, nor becomes live with it
    place.vectors.clear_leftovers()
    assert place.vectors.leftovers(place.catalog.state()) == []
    assert place.live().tolist() == ids_of(2, 2).tolist()
    np.testing.assert_array_equal(place.index().rows_of_image(3)[1], again)


def fail_after_append(place: VectorPlace) -> None:
    with place.catalog.transaction() as change:
        place.append_in(change, 3, 1, seed=3)
        raise KeyboardInterrupt


def test_removed_images_are_hidden_at_once_and_dropped_by_a_merge(place: VectorPlace) -> None:
    parts = [place.append(first, 2, seed=first) for first in (1, 3, 5)]
    place.remove(2, 3)
    assert len(place.index()) == 4 * WINDOWS
    for _ in range(2):
        kept = np.r_[0:10, 30:60]
        assert place.live().tolist() == ids_of(1, 6)[kept].tolist()
        [match] = place.index().search(parts[1][:1], 100)
        assert sorted(match.ids.tolist()) == place.live().tolist()
        with place.catalog.transaction() as change:
            place.vectors.merge(change, KIND)
    [entry] = place.catalog.state().files(KIND).segments
    assert entry.rows == 4 * WINDOWS
    place.remove(1, 4, 5, 6)
    with place.catalog.transaction() as change:
        place.vectors.merge(change, KIND)
    assert place.vectors.open_index(KIND) is None
    place.vectors.clear_leftovers()
    assert place.vectors.leftovers(place.catalog.state()) == []


def swap_halves(vectors: FloatArray) -> FloatArray:
    return np.roll(vectors, DIMENSION // 2, axis=1)


def test_a_rewrite_maps_every_vector_and_is_undone_by_an_error(place: VectorPlace) -> None:
    before = np.vstack([place.append(first, 2, seed=first) for first in (1, 3)])
    with pytest.raises(KeyboardInterrupt):
        rewrite(place, interrupt)
    place.vectors.clear_leftovers()
    np.testing.assert_array_equal(place.index().sample(1000), before)
    old = place.index()
    rewrite(place, swap_halves)
    np.testing.assert_array_equal(place.index().sample(1000), swap_halves(before))
    np.testing.assert_array_equal(old.sample(1000), before)
    place.vectors.clear_leftovers()
    if isinstance(place.vectors, MilvusVectorStore):
        for ask in (old.live_ids, lambda: old.search(QUERIES, 3)):
            with pytest.raises(StoreChangedError, match="Ask again"):
                ask()
    assert place.vectors.leftovers(place.catalog.state()) == []


def rewrite(place: VectorPlace, function: Callable[[FloatArray], FloatArray]) -> None:
    with place.catalog.transaction() as change:
        place.vectors.rewrite(change, KIND, function)


def interrupt(_: FloatArray) -> FloatArray:
    raise KeyboardInterrupt


# --- search ---------------------------------------------------------------------------------------

IMAGES = 150
QUERIES = clustered(seed=9, rows=2)


@pytest.fixture
def doubled(place: VectorPlace) -> tuple[VectorPlace, LocalVectorIndex]:
    """Images of ten vectors, some of them twice, and the index in memory of the same vectors."""
    parts = [place.append(1, 100), place.append(101, 25), place.append(126, 25, seed=2)]
    owners = np.repeat(np.arange(1, IMAGES + 1), WINDOWS)
    rows = segment_of(ids_of(1, IMAGES), owners, np.vstack(parts).astype(np.float16))
    place.remove(3, 77)
    return place, LocalVectorIndex(DIMENSION, [rows], removed=np.array([3, 77]))


LIMITS: list[tuple[dict[str, int], tuple[int, ...]]] = [
    ({}, (1, 25)),
    ({"SPARE": 1, "ROWS_AN_IMAGE": 1, "FEW_IMAGES": 0}, (25,)),  # asked again, for more
    ({"MOST_HITS": 30, "NAMED_IDS": 40, "PAGE_BYTES": 4 * DIMENSION * 512}, (25, 10_000)),
]


@pytest.mark.parametrize("place", ["milvus"], indirect=True)
def test_milvus_finds_what_is_found_in_memory(
    doubled: tuple[VectorPlace, LocalVectorIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, memory = doubled
    some = ImageSet.of(range(1, IMAGES, 2))
    for limits, depths in LIMITS:
        for name, value in limits.items():
            for module in (milvus_index, milvus_collection):
                if hasattr(module, name):
                    monkeypatch.setattr(module, name, value)
        index = place.index()
        assert len(index) == len(memory)
        run = ImageSet.of([2, *range(40, IMAGES - 20), 149])
        for k, allowed in itertools.product(depths, (None, some, run)):
            check_same(index.search(QUERIES, k, allowed), memory.search(QUERIES, k, allowed))
            found = index.search_images(QUERIES, k, allowed)
            check_same(found, memory.search_images(QUERIES, k, allowed))
        few = ImageSet.of([3, 5])
        check_same(index.search(QUERIES, 25, few), memory.search(QUERIES, 25, few))
        assert index.live_ids().tolist() == memory.live_ids().tolist()
        asked = np.array([99, 2, 3, 200, 2], np.int64)
        check_same([index.rows_of_images(asked)], [memory.rows_of_images(asked)])
        assert 100 < len(index.sample(150)) < 200


@given(st.sets(st.integers(0, 90)) | st.sets(st.integers(0, 2000), max_size=6))
def test_expressions_name_each_id_once(ids: set[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(milvus_collection, "RUN_IDS", 3)
        patch.setattr(milvus_collection, "RUNS_AT_ONCE", 2)
        patch.setattr(milvus_collection, "NAMED_IDS", 4)
        terms = list(milvus_collection.spanning("x", np.array(sorted(ids), np.int64)))
    for x in range(-1, 100):
        found = [eval(term, {"x": x}) for term in terms]  # noqa: S307 - made right here
        assert sum(found) == (x in ids)


def check_same(
    found: Sequence[Sequence[np.ndarray]], expected: Sequence[Sequence[np.ndarray]]
) -> None:
    for one, other in zip(found, expected, strict=True):
        for array, true in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, true)
            assert array.dtype == true.dtype


# --- the index ------------------------------------------------------------------------------------


def test_another_index_type_finds_nearly_the_same(
    place: VectorPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.store.vectors.milvus_recall.QUESTIONS", 16)
    vectors = place.append(1, 200)
    exact = place.index().search(QUERIES, 10)
    report = place.vectors.update_index(place.catalog.transaction, KIND, "balanced", retrain=False)
    assert (report.kind, report.rows, report.index_type) == (KIND, 2000, "balanced")
    assert report.nprobe is not None
    assert report.recall is not None
    assert report.recall >= 0.9
    entry = place.vectors.ivf_entry(KIND)
    assert entry is not None
    assert (entry.index_type, entry.nprobe, entry.rows) == ("balanced", report.nprobe, 2000)
    place.vectors.clear_leftovers()
    found = place.index().search(QUERIES, 10)
    shared = [len(np.intersect1d(a.ids, b.ids)) for a, b in zip(found, exact, strict=True)]
    assert np.mean(shared) >= 8
    np.testing.assert_array_equal(place.index().sample(10_000), vectors)
    [match] = place.index().search_images(QUERIES[:1], 1000)
    assert len(match.image_ids) == 200


# --- the server -----------------------------------------------------------------------------------


def test_tls_is_never_replaced_by_a_plain_connection(milvus: MilvusProcess) -> None:
    plain = MilvusServer(MilvusPlace.parse(milvus.url))
    plain.collections("")
    secure = MilvusServer(MilvusPlace.parse(milvus.url.replace("milvus:", "milvus+tls:")))
    with pytest.raises(StoreError, match="which cannot be used"):
        secure.collections("")
    plain.close()
