"""Segments on disk, as one table of rows, and their merging."""

from __future__ import annotations

import mmap
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.arrays import FloatArray, HalfArray
from indexer.errors import StoreCorruptError
from indexer.store.vectors import segments
from indexer.store.vectors.segments import (
    Rows,
    Segment,
    read_segment,
    to_float32,
    write_merged,
    write_segment,
)

DIMENSION = 3


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    """A few segments, empty ones among them, of images of one to four rows."""
    parts, image, row = [], 0, 0
    for sizes in draw(st.lists(st.lists(st.integers(1, 4), max_size=5), min_size=1, max_size=4)):
        count = sum(sizes)
        owners = np.repeat(np.arange(image, image + len(sizes)) * 2, sizes)
        values = np.arange(row, row + count)
        vectors = np.repeat(values[:, None], DIMENSION, axis=1).astype(np.float16)
        parts.append(Segment(values + 100, owners.astype(np.int64), vectors))
        image, row = image + len(sizes), row + count
    return Rows(parts)


def joined(rows: Rows) -> np.ndarray:
    return np.concatenate([part.vectors for part in rows.segments]).astype(np.float32)


@given(tables(), st.data())
def test_take_is_indexing_of_the_whole(rows: Rows, data: st.DataObject) -> None:
    assert len(rows) == len(joined(rows)) == len(rows.image_ids)
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1))) if len(rows) else []
    places = np.array(wanted, np.int64)
    taken = rows.take(places)
    assert taken.dtype == np.float32
    np.testing.assert_array_equal(taken, joined(rows)[places])


@given(tables(), st.data())
def test_ids_and_images_are_those_of_the_whole(rows: Rows, data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1))) if len(rows) else []
    places = np.array(wanted, np.int64)
    owners = np.concatenate([part.image_ids for part in rows.segments])
    np.testing.assert_array_equal(rows.images_of(places), owners[places])
    np.testing.assert_array_equal(
        rows.ids_of(places), np.concatenate([part.ids for part in rows.segments])[places]
    )


@given(tables(), st.integers(0, 30), st.integers(1, 7))
def test_chunks_cover_the_rest_once(rows: Rows, skipped: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "CHUNK_ROWS", size)
        chunks = list(rows.chunks(skipped))
    seen = [start + i for start, vectors in chunks for i in range(len(vectors))]
    assert seen == list(range(skipped, len(rows)))
    assert all(len(vectors) <= size and vectors.dtype == np.float32 for _, vectors in chunks)
    rest = np.concatenate([np.empty((0, DIMENSION)), *(vectors for _, vectors in chunks)])
    np.testing.assert_array_equal(rest, joined(rows)[skipped:])


@given(tables())
def test_the_span_of_an_image_holds_its_rows_and_no_others(rows: Rows) -> None:
    for image in [*np.unique(rows.image_ids).tolist(), -1, 3, 1000]:
        start, stop = rows.span_of_image(image)
        np.testing.assert_array_equal(
            np.arange(start, stop), np.flatnonzero(rows.image_ids == image)
        )


@pytest.mark.parametrize("size", [2, 5, 100])
def test_merging_keeps_the_order_and_drops_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(segments, "CHUNK_ROWS", size)
    random = np.random.default_rng(1)
    parts = [
        Segment(
            np.arange(n) + 10 * n, np.arange(n) + 50 * n, random.normal(size=(n, 4)).astype("f2")
        )
        for n in (7, 8, 9)
    ]
    keep = [random.random(7) < 0.5, np.zeros(8, bool), np.ones(9, bool)]
    write_merged(tmp_path, "m", parts, keep)
    merged = read_segment(tmp_path, "m", int(sum(kept.sum() for kept in keep)), 4)
    for field in ("ids", "image_ids", "vectors"):
        expected = [getattr(part, field)[kept] for part, kept in zip(parts, keep, strict=True)]
        np.testing.assert_array_equal(getattr(merged, field), np.concatenate(expected))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has mapped")
def test_merging_keeps_no_file_in_memory(tmp_path: Path) -> None:
    def mapped_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[2]) * mmap.PAGESIZE / 1e6

    rows = 20_000
    ids = np.arange(rows, dtype=np.int64)
    write_segment(tmp_path, "a", ids, ids, np.ones((rows, 1024), np.float16))  # 41 MB
    part = read_segment(tmp_path, "a", rows, 1024)
    before = mapped_mb()
    write_merged(tmp_path, "b", [part], [np.ones(rows, bool)])
    assert mapped_mb() - before < 10
    assert part.vectors[:: rows // 5].sum() > 0
    assert mapped_mb() - before > 0  # what is read is seen here


def test_every_half_is_widened_exactly() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    table = halves[np.isfinite(halves)].reshape(-1, 16)  # zeros, subnormals and signs included
    widened = to_float32(table)
    assert widened.dtype == np.float32
    assert widened.tobytes() == table.astype(np.float32).tobytes()


@pytest.mark.parametrize(
    "choose",
    [
        lambda rows: rows[::7],
        lambda rows: rows[:, 3:11],
        lambda rows: rows[:0],
        lambda rows: rows[np.array([5, 1, 5])],
    ],
)
def test_parts_of_a_table_are_widened(choose: Callable[[HalfArray], HalfArray]) -> None:
    rows = np.random.default_rng(0).normal(size=(90_000, 12)).astype(np.float16)
    part = choose(rows)
    assert np.array_equal(to_float32(part), part.astype(np.float32))


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_scattered_rows_are_the_rows_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(segments, "APART_ROWS", chunk)
    parts: list[Segment] = []
    for name, count in (("a", 40), ("b", 30)):
        ids = np.arange(count) + 40 * len(parts)
        write_segment(tmp_path, name, ids, ids, random_rows(count, count))
        parts.append(read_segment(tmp_path, name, count, DIMENSION))
    table = Rows(parts)
    for wanted in ([], [69], np.random.default_rng(1).integers(0, 70, 50)):
        places = np.array(wanted, np.int64)
        taken = table.take_scattered(places)
        assert taken.dtype == np.float32
        np.testing.assert_array_equal(taken, table.take(places))


# --- files ----------------------------------------------------------------------------------------


def random_rows(seed: int, rows: int, dimension: int = DIMENSION) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)


@given(st.integers(1, 20), st.integers(1, 6))
@settings(max_examples=20)
def test_write_then_read_changes_nothing(rows: int, dimension: int) -> None:
    ids, values = np.arange(rows, dtype=np.int64) * 3, random_rows(rows, rows, dimension)
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
    write_segment(tmp_path, "7-conv", np.arange(5), np.arange(5), random_rows(1, 5))
    path = tmp_path / f"7-conv.{part}.npy"
    harm(path)
    with pytest.raises(StoreCorruptError, match=r"7-conv.*--rebuild"):
        read_segment(tmp_path, "7-conv", 5, DIMENSION)
