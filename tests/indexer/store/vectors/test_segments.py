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
from indexer.store.vectors import checked, segment_files, segments
from indexer.store.vectors.local_index import LocalVectorIndex
from indexer.store.vectors.segment_files import write_merged, write_segment
from indexer.store.vectors.segments import Rows, Segment, to_float32
from tests.segments import segment_at, segment_of

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
        parts.append(segment_of(values + 100, owners.astype(np.int64), vectors))
        image, row = image + len(sizes), row + count
    return Rows(parts)


def joined(rows: Rows) -> np.ndarray:
    return np.concatenate([part.vectors.all() for part in rows.segments]).astype(np.float32)


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
    owners = np.concatenate([part.image_ids.all() for part in rows.segments])
    np.testing.assert_array_equal(rows.images_of(places), owners[places])
    np.testing.assert_array_equal(
        rows.ids_of(places), np.concatenate([part.ids.all() for part in rows.segments])[places]
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
    monkeypatch.setattr(segment_files, "CHUNK_ROWS", size)
    random = np.random.default_rng(1)
    parts = [
        segment_of(
            np.arange(n) + 10 * n, np.arange(n) + 50 * n, random.normal(size=(n, 4)).astype("f2")
        )
        for n in (7, 8, 9)
    ]
    keep = [random.random(7) < 0.5, np.zeros(8, bool), np.ones(9, bool)]
    write_merged(tmp_path, "00000002-conv", parts, keep)
    merged = segment_at(tmp_path, "00000002-conv", int(sum(kept.sum() for kept in keep)), 4)
    for field in ("ids", "image_ids", "vectors"):
        expected = [
            getattr(part, field).all()[kept] for part, kept in zip(parts, keep, strict=True)
        ]
        np.testing.assert_array_equal(getattr(merged, field).all(), np.concatenate(expected))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a process has mapped")
def test_merging_keeps_no_file_in_memory(tmp_path: Path) -> None:
    def mapped_mb() -> float:
        return int(Path("/proc/self/statm").read_text("utf-8").split()[2]) * mmap.PAGESIZE / 1e6

    rows = 20_000
    ids = np.arange(rows, dtype=np.int64)
    write_segment(tmp_path, "00000003-conv", ids, ids, np.ones((rows, 1024), np.float16))  # 41 MB
    part = segment_at(tmp_path, "00000003-conv", rows, 1024)
    before = mapped_mb()
    write_merged(tmp_path, "00000004-conv", [part], [np.ones(rows, bool)])
    assert mapped_mb() - before < 10
    assert part.vectors.all()[:: rows // 5].sum() > 0
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
    for name, count in (("00000003-conv", 40), ("00000004-conv", 30)):
        ids = np.arange(count) + 40 * len(parts)
        write_segment(tmp_path, name, ids, ids, random_rows(count, count))
        parts.append(segment_at(tmp_path, name, count, DIMENSION))
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
        write_segment(Path(folder), "00000001-conv", ids, ids // 6, values)
        read = segment_at(Path(folder), "00000001-conv", rows, dimension)
        np.testing.assert_array_equal(read.ids.all(), ids)
        np.testing.assert_array_equal(read.image_ids.all(), ids // 6)
        np.testing.assert_array_equal(read.vectors.all(), values.astype(np.float16))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def pickle(path: Path) -> None:
    np.save(path, np.array([{"00000003-conv": 1}], dtype=object), allow_pickle=True)


def scribble(path: Path) -> None:
    path.write_bytes(b"\0" * 200)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def widen(path: Path) -> None:
    np.save(path, np.load(path).astype(np.float64))


def shorten(path: Path) -> None:
    np.save(path, np.load(path)[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 16
    path.write_bytes(content)


@pytest.mark.parametrize("part", ["ids.npy", "images.npy", "vectors.npy", "sums"])
@pytest.mark.parametrize("harm", [truncate, scribble, empty, flip, Path.unlink])
def test_a_damaged_segment_is_named(tmp_path: Path, part: str, harm: Any) -> None:
    name, ids = "00000007-conv", np.arange(5)
    checksum = write_segment(tmp_path, name, ids, ids, random_rows(1, 5))
    harm(tmp_path / f"{name}.{part}")
    with pytest.raises(StoreCorruptError, match=r"7-conv.*cbir doctor --repair"):
        segment_at(tmp_path, name, 5, DIMENSION, checksum)


@pytest.mark.parametrize("part", ["ids", "images", "vectors"])
@pytest.mark.parametrize("harm", [truncate, pickle, scribble, empty, widen, shorten, Path.unlink])
def test_without_checksums_much_damage_is_seen(tmp_path: Path, part: str, harm: Any) -> None:
    name, ids = "00000007-conv", np.arange(5)
    write_segment(tmp_path, name, ids, ids, random_rows(1, 5))
    harm(tmp_path / f"{name}.{part}.npy")
    with pytest.raises(StoreCorruptError, match=r"7-conv.*cbir doctor --repair"):
        segment_at(tmp_path, name, 5, DIMENSION)


HEADERS = [
    b"{'descr': '<f2', 'fortran_order': False, 'shape': (5, 3), ",  # no end
    b"{'descr': '<f2', 'fortran_order': False, 'shape': (5, " + b"9" * 50 + b")}",
    b"{'descr': '|O', 'fortran_order': False, 'shape': (5, 3)}",
    b"{'descr': ('<f2', (3,) * 10**9), 'fortran_order': False, 'shape': (5, 3)}",
    b"(" * 9000,
    b"\xff" * 90,
]


@pytest.mark.parametrize("header", HEADERS)
def test_no_header_ends_in_a_traceback(tmp_path: Path, header: bytes) -> None:
    name, ids = "00000007-conv", np.arange(5)
    write_segment(tmp_path, name, ids, ids, random_rows(1, 5))
    head = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (tmp_path / f"{name}.vectors.npy").write_bytes(head + b"\0" * 30)
    with pytest.raises(StoreCorruptError, match="7-conv"):
        segment_at(tmp_path, name, 5, DIMENSION)


BIG, WIDE = 3000, 67  # 402,000 bytes of vectors: 25 blocks, which cut rows in two


@pytest.fixture
def damaged(tmp_path: Path) -> Segment:
    """A segment with a flipped bit in the vector of row 1500."""
    name, ids = "00000007-conv", np.arange(BIG)
    checksum = write_segment(tmp_path, name, ids, ids, random_rows(1, BIG, WIDE))
    file = tmp_path / f"{name}.vectors.npy"
    content = bytearray(file.read_bytes())
    content[len(content) - 2 * WIDE * (BIG - 1500) + 9] ^= 1
    file.write_bytes(content)
    return segment_at(tmp_path, name, BIG, WIDE, checksum)


@pytest.mark.parametrize(
    "use",
    [
        lambda part: part.vectors.all(),
        lambda part: part.vectors.span(1490, 1501),
        lambda part: part.vectors.take(np.array([3, 1500])),
        lambda part: Rows([part]).take_scattered(np.array([1500, 7])),
        lambda part: [*Rows([part]).chunks()],
        lambda part: LocalVectorIndex(WIDE, [part]).rows_of_image(1500),
        lambda part: LocalVectorIndex(WIDE, [part]).search(
            np.full((1, WIDE), 0.125, np.float32), 1
        ),
        lambda part: LocalVectorIndex(WIDE, [part]).sample(BIG),
    ],
)
def test_a_damaged_row_is_not_used(damaged: Segment, use: Callable[[Segment], object]) -> None:
    for _ in range(2):
        with pytest.raises(StoreCorruptError, match=r"7-conv\.vectors.*cbir doctor --repair"):
            use(damaged)


def test_rows_in_other_blocks_are_used(damaged: Segment) -> None:
    [block] = damaged.vectors.check_all()
    away = np.flatnonzero(~damaged.vectors.rows_in([block]))
    assert 0 < BIG - len(away) <= 2 + 16384 // (2 * WIDE)
    expected = random_rows(1, BIG, WIDE).astype(np.float16)
    np.testing.assert_array_equal(damaged.vectors.take(away), expected[away])
    np.testing.assert_array_equal(damaged.vectors.span(0, 1000), expected[:1000])


@given(st.integers(1, 400), st.integers(1, 40), st.data())
@settings(max_examples=30)
def test_any_row_of_intact_files_is_read(rows: int, dimension: int, data: st.DataObject) -> None:
    values, ids = random_rows(rows, rows, dimension), np.arange(rows)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(checked, "BLOCK_BYTES", 256)
        patch.setattr(segment_files, "BLOCK_BYTES", 256)
        name = "00000001-conv"
        checksum = write_segment(Path(folder), name, ids, ids, values)
        part = segment_at(Path(folder), name, rows, dimension, checksum)
        own = np.array(data.draw(st.lists(st.integers(0, rows - 1))), np.int64)
        np.testing.assert_array_equal(part.vectors.take(own), values.astype("f2")[own])
        first = data.draw(st.integers(0, rows))
        np.testing.assert_array_equal(
            part.vectors.span(first, rows + 5), values.astype("f2")[first:]
        )
        assert not part.vectors.check_all()
