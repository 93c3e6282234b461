"""What vectors in files promise beyond what every store of vectors does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from indexer.arrays import FloatArray, IdArray
from indexer.errors import StoreCorruptError, StoreError
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.vectors.ivf import IvfIndex
from indexer.store.vectors.local_store import LocalVectorStore
from tests.clusters import DIMENSION, WINDOWS, trained
from tests.vector_stores import VectorPlace

KIND, OTHER = "region", "conv"


@dataclass
class Shelf(VectorPlace):
    """Vectors in files."""

    vectors: LocalVectorStore

    def stored(self, kind: str = KIND) -> FloatArray:
        """All vectors in order, those of removed images included."""
        rows = self.vectors.rows(kind)
        return rows.take(np.arange(len(rows)))

    def nearest(self, query: FloatArray, k: int = 3, kind: str = KIND) -> list[int]:
        index = self.vectors.open_index(kind)
        assert index is not None
        [match] = index.search(query[None], k)
        return [int(i) for i in match.ids]

    def sizes(self, kind: str = KIND) -> list[int]:
        return [entry.rows for entry in self.catalog.state().files(kind).segments]


def ids_of(first_image: int, images: int) -> IdArray:
    return np.arange(first_image * WINDOWS, (first_image + images) * WINDOWS)


def unit(row: FloatArray) -> FloatArray:
    result: FloatArray = row / np.linalg.norm(row).astype(np.float32)
    return result


@pytest.fixture(params=[LocalVectorStore])
def shelf(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Shelf]:
    (tmp_path / "vectors").mkdir()
    catalog = SqlAlchemyCatalog(tmp_path / "catalog.sqlite")
    catalog.create()
    yield Shelf(catalog, request.param(tmp_path / "vectors", catalog))
    catalog.close()


def files(shelf: Shelf) -> set[str]:
    return {file.name for file in shelf.vectors.folder.iterdir()}


# --- append and open ------------------------------------------------------------------------------


def test_there_is_no_index_before_the_first_vectors(shelf: Shelf) -> None:
    assert shelf.vectors.open_index(KIND) is None
    assert len(shelf.vectors.rows(KIND)) == 0
    assert shelf.vectors.ivf_entry(KIND) is None


def test_what_is_appended_is_found(shelf: Shelf) -> None:
    first = shelf.append(1, 4)
    second = shelf.append(5, 3, seed=2)
    assert shelf.live().tolist() == ids_of(1, 7).tolist()
    assert shelf.nearest(unit(first[17]), 1) == [10 + 17]
    assert shelf.nearest(unit(second[9]), 1) == [50 + 9]
    index = shelf.vectors.open_index(KIND)
    assert index is not None
    own, vectors = index.rows_of_image(6)
    assert own.tolist() == ids_of(6, 1).tolist()
    np.testing.assert_array_equal(vectors, second[10:20])
    np.testing.assert_array_equal(shelf.stored(), np.vstack([first, second]))


def test_kinds_are_kept_apart(shelf: Shelf) -> None:
    shelf.append(1, 2)
    assert shelf.vectors.open_index(OTHER) is None
    shelf.append(3, 1, OTHER)
    assert shelf.live().tolist() == ids_of(1, 2).tolist()
    assert shelf.live(OTHER).tolist() == ids_of(3, 1).tolist()


def test_nothing_is_live_before_the_commit(shelf: Shelf) -> None:
    shelf.append(1, 1)
    with shelf.catalog.transaction() as change:
        shelf.append_in(change, 2, 1)
        change.remove_images([1])
        assert shelf.live().tolist() == ids_of(1, 1).tolist()
        assert len(shelf.vectors.rows(KIND)) == WINDOWS
    assert shelf.live().tolist() == ids_of(2, 1).tolist()


def append_and_fail(shelf: Shelf, error: BaseException) -> None:
    with shelf.catalog.transaction() as change:
        shelf.append_in(change, 2, 1)
        shelf.append_in(change, 2, 1, OTHER)
        change.remove_images([1])
        raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no")])
def test_an_exception_undoes_all_of_it(shelf: Shelf, error: BaseException) -> None:
    shelf.append(1, 1)
    with pytest.raises(type(error)):
        append_and_fail(shelf, error)
    assert shelf.live().tolist() == ids_of(1, 1).tolist()
    assert shelf.vectors.open_index(OTHER) is None
    shelf.append(2, 1, seed=3)  # nothing is in its way
    assert shelf.live().tolist() == ids_of(1, 2).tolist()


def test_an_open_index_stays_as_it_was(shelf: Shelf) -> None:
    first = shelf.append(1, 2)
    index = shelf.vectors.open_index(KIND)
    assert index is not None
    shelf.append(3, 2, seed=2)
    shelf.remove(1)
    with shelf.catalog.transaction() as change:
        shelf.vectors.merge(change, KIND)
    shelf.vectors.clear_leftovers()
    assert index.live_ids().tolist() == ids_of(1, 2).tolist()
    [match] = index.search(unit(first[4])[None], 1)
    assert match.ids.tolist() == [14]


def test_a_disk_that_is_full_is_told(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.append(1, 1)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("indexer.store.vectors.segment_files.os.fsync", refuse)
    with pytest.raises(StoreError, match=r"cannot be written.*No space left on device.*is safe"):
        shelf.append(2, 1)
    assert shelf.live().tolist() == ids_of(1, 1).tolist()


# --- removed images -------------------------------------------------------------------------------


def test_removed_images_are_hidden_at_once(shelf: Shelf) -> None:
    vectors = shelf.append(1, 3)
    shelf.remove(2)
    assert shelf.live().tolist() == [*ids_of(1, 1), *ids_of(3, 1)]
    found = shelf.nearest(unit(vectors[WINDOWS + 3]), 100)
    assert sorted(found) == shelf.live().tolist()
    assert len(shelf.vectors.rows(KIND)) == 3 * WINDOWS  # still there, for an IVF index


# --- merge ----------------------------------------------------------------------------------------


def test_a_merge_drops_the_vectors_of_removed_images(shelf: Shelf) -> None:
    parts = [shelf.append(first, 2, seed=first) for first in (1, 3, 5)]
    shelf.remove(2, 3)
    with shelf.catalog.transaction() as change:
        shelf.vectors.merge(change, KIND)
        assert shelf.sizes() == [2 * WINDOWS] * 3
    kept = np.r_[0:10, 30:60]
    assert shelf.sizes() == [4 * WINDOWS]
    assert shelf.live().tolist() == ids_of(1, 6)[kept].tolist()
    np.testing.assert_array_equal(shelf.stored(), np.vstack(parts)[kept])


def test_merging_again_changes_nothing(shelf: Shelf) -> None:
    shelf.append(1, 2)
    shelf.append(3, 2)
    before = []
    for _ in range(2):
        with shelf.catalog.transaction() as change:
            shelf.vectors.merge(change, KIND)
        shelf.vectors.clear_leftovers()
        before.append(files(shelf))
    assert before[0] == before[1]


def test_a_merge_of_nothing_and_of_removed_images_alone(shelf: Shelf) -> None:
    with shelf.catalog.transaction() as change:
        shelf.vectors.merge(change, KIND)
    shelf.append(1, 2)
    shelf.remove(1, 2)
    with shelf.catalog.transaction() as change:
        shelf.vectors.merge(change, KIND)
    assert shelf.vectors.open_index(KIND) is None
    shelf.vectors.clear_leftovers()
    assert files(shelf) == set()
    shelf.append(3, 1)
    assert shelf.live().tolist() == ids_of(3, 1).tolist()


def test_a_merge_tells_how_far_it_is(shelf: Shelf) -> None:
    shelf.append(1, 2)
    shelf.append(3, 2)
    told: list[tuple[str, int, int]] = []

    def tell(step: str, done: int, total: int, *, failed: int = 0) -> None:
        assert not failed
        told.append((step, done, total))

    with shelf.catalog.transaction() as change:
        shelf.vectors.merge(change, KIND, tell)
    assert {(step, total) for step, _, total in told} == {("merging segments", 4 * WINDOWS)}
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert told[-1][1] == 4 * WINDOWS


# --- join -----------------------------------------------------------------------------------------


def join(shelf: Shelf) -> list[int]:
    with shelf.catalog.transaction() as change:
        shelf.vectors.join(change, KIND)
    return shelf.sizes()


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        ([], []),
        ([3], [3]),
        ([1, 1], [2]),
        ([4, 1], [4, 1]),
        ([3, 1], [4]),
        ([16, 3, 1], [16, 4]),
        ([15, 3, 1], [19]),
        ([40, 9, 2, 1], [52]),
        ([60, 12, 2, 1], [60, 12, 3]),
    ],
)
def test_joining_keeps_rows_and_order_and_leaves_few_segments(
    shelf: Shelf, images: Sequence[int], expected: Sequence[int]
) -> None:
    parts, first = [np.empty((0, DIMENSION), np.float32)], 1
    for count in images:
        parts.append(shelf.append(first, count, seed=first))
        first += count
    if images:
        shelf.remove(1)
    before = shelf.live()
    assert join(shelf) == [count * WINDOWS for count in expected]
    assert shelf.live().tolist() == before.tolist()
    if images:
        np.testing.assert_array_equal(shelf.stored(), np.vstack(parts))
    assert join(shelf) == [count * WINDOWS for count in expected]


# --- rewrite --------------------------------------------------------------------------------------


def swap_halves(vectors: FloatArray) -> FloatArray:
    return np.roll(vectors, DIMENSION // 2, axis=1)


@pytest.mark.parametrize("chunk", [7, 10_000])
def test_a_rewrite_maps_every_vector(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("indexer.store.vectors.segment_files.CHUNK_ROWS", chunk)
    parts = [shelf.append(first, 2, seed=first) for first in (1, 3)]
    other = shelf.append(1, 2, OTHER)
    shelf.remove(2)
    before = shelf.live()
    counts: list[int] = []

    def change_some(vectors: FloatArray) -> FloatArray:
        counts.append(len(vectors))
        return swap_halves(vectors)

    with shelf.catalog.transaction() as change:
        shelf.vectors.rewrite(change, KIND, change_some)
        np.testing.assert_array_equal(shelf.stored(), np.vstack(parts))
    assert shelf.live().tolist() == before.tolist()
    np.testing.assert_array_equal(shelf.stored(), swap_halves(np.vstack(parts)))
    np.testing.assert_array_equal(shelf.stored(OTHER), other)
    assert max(counts) <= chunk
    assert sum(counts) == 4 * WINDOWS


def test_a_rewrite_of_no_vectors(shelf: Shelf) -> None:
    with shelf.catalog.transaction() as change:
        shelf.vectors.rewrite(change, KIND, swap_halves)
    assert shelf.vectors.open_index(KIND) is None


# --- the IVF index --------------------------------------------------------------------------------


def make_ivf(shelf: Shelf) -> IvfIndex:
    rows = shelf.vectors.rows(KIND)
    ivf = trained(rows, "balanced")
    with shelf.catalog.transaction() as change:
        shelf.vectors.replace_ivf(change, KIND, ivf, len(rows))
        assert shelf.vectors.ivf_entry(KIND) is None
    return ivf


def test_an_ivf_index_is_opened_with_the_vectors(shelf: Shelf) -> None:
    vectors = shelf.append(1, 100)
    ivf = make_ivf(shelf)
    entry = shelf.vectors.ivf_entry(KIND)
    assert entry is not None
    assert (entry.index_type, entry.rows, entry.trained_rows) == ("balanced", 1000, 1000)
    assert (entry.nprobe, entry.recall) == (ivf.nprobe, ivf.recall)
    assert len(shelf.vectors.open_ivf(entry, to_extend=True)) == 1000
    shelf.append(101, 2, seed=2)
    index = shelf.vectors.open_index(KIND)
    assert index is not None
    assert index.ivf is not None
    assert (len(index.ivf), len(index)) == (1000, 1020)
    assert shelf.nearest(unit(vectors[77]), 1) == [10 + 77]


def test_no_ivf_index_in_the_place_of_one(shelf: Shelf) -> None:
    shelf.append(1, 100)
    make_ivf(shelf)
    with shelf.catalog.transaction() as change:
        shelf.vectors.replace_ivf(change, KIND, None, 0)
    assert shelf.vectors.ivf_entry(KIND) is None
    shelf.vectors.clear_leftovers()
    assert not any(name.endswith(".faiss") for name in files(shelf))


@pytest.mark.parametrize("how", ["merge", "rewrite", "join"])
def test_an_ivf_index_goes_where_its_rows_change(shelf: Shelf, how: str) -> None:
    shelf.append(1, 100)
    make_ivf(shelf)
    for first in (101, 103):
        shelf.append(first, 2, seed=first)
    with shelf.catalog.transaction() as change:
        if how == "merge":
            shelf.vectors.merge(change, KIND)
        elif how == "rewrite":
            shelf.vectors.rewrite(change, KIND, swap_halves)
        else:
            shelf.vectors.join(change, KIND)
    assert (shelf.vectors.ivf_entry(KIND) is not None) == (how == "join")
    assert shelf.sizes() == ([1000, 40] if how == "join" else [1040])
    assert shelf.live().tolist() == ids_of(1, 104).tolist()


def test_segments_in_the_ivf_index_are_joined_among_themselves(shelf: Shelf) -> None:
    for first in (1, 51):
        shelf.append(first, 50, seed=first)
    make_ivf(shelf)
    assert join(shelf) == [1000]
    shelf.append(101, 90, seed=3)
    assert join(shelf) == [1000, 900]
    index = shelf.vectors.open_index(KIND)
    assert index is not None
    assert index.ivf is not None


def test_an_ivf_file_of_other_rows_is_reported(shelf: Shelf) -> None:
    shelf.append(1, 100)
    make_ivf(shelf)
    with shelf.catalog.transaction() as change:
        change.drop_ivf(KIND)
        change.add_ivf(KIND, "balanced", rows=7, trained_rows=7, nprobe=1, recall=1.0)
    [old] = shelf.vectors.folder.glob("*.faiss")
    entry = shelf.vectors.ivf_entry(KIND)
    assert entry is not None
    old.rename(old.with_name(f"{entry.id:08d}-{KIND}-balanced.faiss"))
    with pytest.raises(StoreCorruptError, match=r"1000 vectors, the catalogue says 7.*optimize"):
        shelf.vectors.open_index(KIND)


# --- files ----------------------------------------------------------------------------------------


def test_leftovers_are_the_files_that_no_commit_names(shelf: Shelf) -> None:
    shelf.append(1, 100)
    shelf.append(1, 100, OTHER)
    make_ivf(shelf)
    live = files(shelf)
    with pytest.raises(KeyboardInterrupt):
        append_and_fail(shelf, KeyboardInterrupt())
    strangers = {"vectors.npy", "00000099-conv.npy", "weights.faiss", "note.txt"}
    half = {"00000099-conv.ids.npy", "00000099-region.vectors.npy", "00000009-fc-compact.faiss"}
    for name in strangers | half:
        (shelf.vectors.folder / name).write_bytes(b"half")
    (shelf.vectors.folder / "00000098-conv.ids.npy").mkdir()
    assert len(files(shelf)) > len(live | strangers | half)
    shelf.vectors.clear_leftovers()
    assert files(shelf) == live | strangers | {"00000098-conv.ids.npy"}
    assert shelf.live().tolist() == ids_of(1, 100).tolist()


def test_replaced_files_are_leftovers(shelf: Shelf) -> None:
    shelf.append(1, 1)
    shelf.append(2, 1)
    assert len(files(shelf)) == 2 * 4
    with shelf.catalog.transaction() as change:
        shelf.vectors.merge(change, KIND)
    assert len(files(shelf)) == 3 * 4  # a search may be reading the old ones
    shelf.vectors.clear_leftovers()
    assert len(files(shelf)) == 4
    assert shelf.live().tolist() == ids_of(1, 2).tolist()


@pytest.mark.parametrize("part", ["ids.npy", "images.npy", "vectors.npy", "sums"])
def test_a_missing_file_is_reported(shelf: Shelf, part: str) -> None:
    shelf.append(1, 1)
    [file] = shelf.vectors.folder.glob(f"*.{part}")
    file.unlink()
    with pytest.raises(StoreCorruptError, match=rf"{file.name} is missing.*cbir doctor --repair"):
        shelf.vectors.open_index(KIND)
