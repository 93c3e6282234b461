"""The IVF index: as good as it says, scored exactly, and the same every time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.arrays import FloatArray, IdArray
from indexer.choices import IndexType
from indexer.errors import StoreCorruptError
from indexer.store.catalog.protocol import IvfEntry
from indexer.store.folder import open_folder
from indexer.store.vectors.faiss_runtime import faiss
from indexer.store.vectors.index_types import (
    ACCURACY,
    BALANCED_ROWS,
    COMPACT_ROWS,
    choose_index_type,
)
from indexer.store.vectors.ivf import (
    IvfIndex,
    factory_string,
)
from indexer.store.vectors.ivf_calibration import make_questions, nearest_rows, probe_steps
from indexer.store.vectors.segments import Rows
from tests.clusters import DIMENSION, ROWS, clustered, segment, trained

INDEX_TYPES: tuple[IndexType, ...] = ("balanced", "compact")
QUERIES = clustered(seed=2, rows=50)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows([segment(1, ROWS // 2), segment(1001, ROWS // 2, seed=3)])


@pytest.fixture(scope="module", params=INDEX_TYPES)
def ivf(rows: Rows, request: pytest.FixtureRequest) -> IvfIndex:
    return trained(rows, request.param)


def everything(rows: Rows) -> FloatArray:
    return rows.take(np.arange(len(rows)))


def best(rows: Rows, query: FloatArray, k: int) -> IdArray:
    order: IdArray = np.argsort(-(everything(rows) @ query), kind="stable")[:k]
    return order


def answers(ivf: IvfIndex, rows: Rows, k: int = 10) -> list[tuple[IdArray, FloatArray]]:
    return [ivf.search(rows, query, k) for query in QUERIES]


def test_the_recall_aimed_at_is_reached(ivf: IvfIndex, rows: Rows) -> None:
    assert len(ivf) == len(rows)
    assert 1 <= ivf.nprobe <= ivf.index.nlist
    assert ivf.recall >= ACCURACY[ivf.index_type].recall or ivf.nprobe == ivf.index.nlist


def test_the_recall_holds_for_other_questions(ivf: IvfIndex, rows: Rows) -> None:
    found = answers(ivf, rows)
    pairs = zip(found, QUERIES, strict=True)
    shares = [len(np.intersect1d(ids, best(rows, query, 10))) / 10 for (ids, _), query in pairs]
    assert np.mean(shares) >= ACCURACY[ivf.index_type].recall - 0.05


def test_fewer_cells_would_not_reach_it(
    ivf: IvfIndex, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = probe_steps(ivf.index.nlist)
    fewer = steps[steps.index(ivf.nprobe) - 1]
    assert fewer < ivf.nprobe
    monkeypatch.setattr("indexer.store.vectors.ivf.probe_steps", lambda _: [fewer])
    monkeypatch.setattr("indexer.store.vectors.ivf.HELD_OUT", 64)
    other = IvfIndex(ivf.index, ivf.index_type)
    other.calibrate(rows)
    assert other.recall < ACCURACY[ivf.index_type].recall


def test_scores_are_those_of_the_stored_vectors(ivf: IvfIndex, rows: Rows) -> None:
    stored = everything(rows)
    for (found, scores), query in zip(answers(ivf, rows, 30), QUERIES, strict=True):
        assert len(found) == len(np.unique(found)) == 30
        assert found.min() >= 0
        assert (np.diff(scores) <= 0).all()
        np.testing.assert_allclose(scores, stored[found] @ query, atol=2e-3)


def test_the_first_is_found_by_itself(ivf: IvfIndex, rows: Rows) -> None:
    for row in range(0, ROWS, 500):
        found, _ = ivf.search(rows, rows.take(np.array([row]))[0], 1)
        assert found.tolist() == [row]


@pytest.mark.parametrize("kept", [0, 3, 1000])
def test_only_the_rows_to_keep_are_found(ivf: IvfIndex, rows: Rows, kept: int) -> None:
    keep = np.zeros(len(rows), bool)
    keep[np.random.default_rng(5).choice(len(rows), kept, replace=False)] = True
    bits = np.packbits(keep, bitorder="little")
    for query in QUERIES[:5]:
        found, scores = ivf.search_some(rows, query, 20, bits, kept)
        assert len(found) == len(scores) <= min(20, kept)
        assert keep[found].all()


def test_more_than_there_are(ivf: IvfIndex, rows: Rows) -> None:
    found, _ = ivf.search(rows, QUERIES[0], 2 * len(rows))
    assert 0 < len(found) <= len(rows)
    assert len(np.unique(found)) == len(found)


def test_extending_again_adds_only_what_is_new(rows: Rows) -> None:
    index = IvfIndex.train_cells(rows, "balanced")
    index.train_codes(rows)
    index.extend(Rows(rows.segments[:1]))
    assert len(index) == ROWS // 2
    for _ in range(2):
        index.extend(rows)
        assert len(index) == ROWS
    index.nprobe = index.index.nlist
    found, _ = index.search(rows, QUERIES[0], 10)
    assert set(found.tolist()) == set(best(rows, QUERIES[0], 10).tolist())


def entry_of(ivf: IvfIndex) -> IvfEntry:
    """What the catalogue would say about an index."""
    return IvfEntry(
        id=1,
        kind="region",
        index_type=ivf.index_type,
        rows=len(ivf),
        trained_rows=len(ivf),
        nprobe=ivf.nprobe,
        recall=ivf.recall,
    )


def same(ones: list[tuple[IdArray, FloatArray]], others: list[tuple[IdArray, FloatArray]]) -> None:
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_the_same_rows_make_the_same_index(ivf: IvfIndex, rows: Rows) -> None:
    again = trained(rows, ivf.index_type)
    assert (again.nprobe, again.recall) == (ivf.nprobe, ivf.recall)
    same(answers(again, rows), answers(ivf, rows))


def test_threads_that_share_a_query_find_what_one_finds(ivf: IvfIndex, rows: Rows) -> None:
    shared = answers(ivf, rows)
    mode, ivf.index.parallel_mode = ivf.index.parallel_mode, 0
    alone = answers(ivf, rows)
    ivf.index.parallel_mode = mode
    assert mode != 0
    same(shared, alone)


def write(ivf: IvfIndex, path: Path) -> IvfEntry:
    with open_folder(path.parent) as folder:
        return replace(entry_of(ivf), checksum=ivf.write(folder, path.name))


def read_index(path: Path, entry: IvfEntry, *, to_extend: bool = False) -> IvfIndex:
    with open_folder(path.parent) as folder:
        return IvfIndex.read(folder, path.name, entry, to_extend=to_extend)


@pytest.mark.parametrize("to_extend", [False, True])
def test_write_then_read(ivf: IvfIndex, rows: Rows, tmp_path: Path, to_extend: bool) -> None:
    path = tmp_path / "a.faiss"
    read = read_index(path, write(ivf, path), to_extend=to_extend)
    assert len(read) == len(ivf)
    assert (read.index_type, read.nprobe, read.recall) == (ivf.index_type, ivf.nprobe, ivf.recall)
    same(answers(read, rows), answers(ivf, rows))


def test_what_was_read_can_be_extended(ivf: IvfIndex, rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "a.faiss"
    read = read_index(path, write(ivf, path), to_extend=True)
    more = Rows([*rows.segments, segment(9000, 10, seed=7)])
    read.extend(more)
    found, _ = read.search(more, more.take(np.array([ROWS + 4]))[0], 1)
    assert found.tolist() == [ROWS + 4]


def test_a_removed_file_stays_readable_while_it_is_open(
    ivf: IvfIndex, rows: Rows, tmp_path: Path
) -> None:
    path = tmp_path / "a.faiss"
    read = read_index(path, write(ivf, path))
    path.unlink()
    same(answers(read, rows), answers(ivf, rows))


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def behead(path: Path) -> None:
    path.write_bytes(path.read_bytes()[100:])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("to_extend", [False, True])
@pytest.mark.parametrize("has_checksum", [False, True])
@pytest.mark.parametrize("harm", [halve, shorten, behead, empty])
def test_a_damaged_file_is_named_with_a_remedy(
    ivf: IvfIndex, tmp_path: Path, harm: Any, to_extend: bool, has_checksum: bool
) -> None:
    path = tmp_path / "a.faiss"
    entry = write(ivf, path)
    harm(path)
    entry = entry if has_checksum else replace(entry, checksum="")
    with pytest.raises(StoreCorruptError, match=r"a\.faiss.*cbir optimize"):
        read_index(path, entry, to_extend=to_extend)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_a_flipped_bit_is_seen(ivf: IvfIndex, tmp_path: Path) -> None:
    path = tmp_path / "a.faiss"
    entry = write(ivf, path)
    flip(path)
    with pytest.raises(StoreCorruptError, match=r"a\.faiss.*cbir optimize"):
        read_index(path, entry)


# --- what is chosen, and of what size ------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "index_type"),
    [
        (0, "exact"),
        (BALANCED_ROWS - 1, "exact"),
        (BALANCED_ROWS, "balanced"),
        (COMPACT_ROWS - 1, "balanced"),
        (COMPACT_ROWS, "compact"),
    ],
)
def test_the_index_type_suits_the_number_of_rows(rows: int, index_type: IndexType) -> None:
    assert choose_index_type(rows) == index_type


@pytest.mark.parametrize(
    ("index_type", "dimension", "most"),
    [
        *(("balanced", dimension, 300) for dimension in (256, 384)),
        *(("compact", dimension, 80) for dimension in (256, 384, 512, 1000, 1280)),
        *(("balanced", dimension, dimension) for dimension in (512, 1000, 1280)),
    ],
)
def test_codes_are_small(index_type: IndexType, dimension: int, most: int) -> None:
    index: Any = faiss.index_factory(
        dimension, factory_string(index_type, dimension, 10**6), faiss.METRIC_INNER_PRODUCT
    )
    assert 16 <= index.code_size <= most


@pytest.mark.parametrize("rows", [0, 1, 39, 40, 1000, 60_000, 10**6, 10**9])
def test_every_cell_has_rows_to_be_trained_on(rows: int) -> None:
    name = factory_string("balanced", DIMENSION, rows)
    cells = int(name.split(",")[0].removeprefix("IVF"))
    assert 1 <= cells <= 4096
    assert cells == 1 or cells * 40 <= rows


# --- the questions, and the truth ---------------------------------------------------------------


def test_questions_are_unit_vectors_that_are_not_stored() -> None:
    vectors = clustered(1, 200)
    questions = make_questions(vectors)
    assert questions.shape == vectors.shape
    np.testing.assert_allclose(np.linalg.norm(questions, axis=1), 1, atol=1e-5)
    assert (questions @ vectors.T).max() < 0.99
    np.testing.assert_array_equal(questions, make_questions(vectors))


def test_the_truth_leaves_out_the_own_image(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.store.vectors.segments.CHUNK_ROWS", 700)
    asked = np.array([0, 2995, 3000, ROWS - 1])
    own = np.array([rows.span_of_image(i) for i in rows.image_ids[asked].tolist()])
    found = nearest_rows(rows, rows.take(asked), own, 10)
    scores = rows.take(asked) @ everything(rows).T
    for part, (start, stop) in zip(scores, own.tolist(), strict=True):
        part[start:stop] = -2
    np.testing.assert_array_equal(found, np.argsort(-scores, axis=1, kind="stable")[:, :10])
