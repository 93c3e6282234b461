"""How much of vector files that are read by memory map stays in the memory of the process."""

from __future__ import annotations

import gc
import mmap
import sys
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from indexer.store.vectors import checked, mapped_pages
from indexer.store.vectors.checked import CheckedRows, block_sums
from indexer.store.vectors.mapped_pages import MappedPages

FILE_BYTES = 24 << 20
LIMIT = 4 << 20
ROW_VALUES = 384  # of two bytes
ROWS = FILE_BYTES // 2 // ROW_VALUES


class Maps:
    """Maps of a file of 1 MB, and a record of those whose pages were dropped."""

    def __init__(self, file: Path, patch: pytest.MonkeyPatch) -> None:
        file.write_bytes(bytes(1 << 20))
        self._file = file
        self.dropped: list[mmap.mmap] = []
        patch.setattr(mapped_pages, "drop_pages", self.dropped.append)

    def open(self) -> mmap.mmap:
        with self._file.open("rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


@pytest.fixture
def maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maps:
    return Maps(tmp_path / "file", monkeypatch)


def test_pages_of_all_maps_go_at_the_limit(maps: Maps) -> None:
    pages, one, two = MappedPages(1000), maps.open(), maps.open()
    for file in (one, two):
        pages.expect(file, 500)
    assert maps.dropped == []
    pages.expect(two, 1)
    assert maps.dropped == [one, two]
    pages.expect(two, 999)  # with the one byte that was expected last
    assert len(maps.dropped) == 2
    pages.expect(one, 1)
    assert maps.dropped[2:] == [two, one]


def test_no_map_counts_for_more_than_its_size(maps: Maps) -> None:
    pages, file = MappedPages(1 << 20), maps.open()
    for _ in range(10):
        pages.expect(file, 1 << 19)
    assert maps.dropped == []


def test_a_map_that_was_let_go_counts_no_more(maps: Maps) -> None:
    pages, one, two = MappedPages(1000), maps.open(), maps.open()
    pages.expect(one, 900)
    pages.let_go(one)
    pages.expect(two, 900)
    assert maps.dropped == [one]


def test_maps_are_not_kept_open(maps: Maps) -> None:
    pages, file = MappedPages(1000), maps.open()
    pages.expect(file, 600)
    known = weakref.ref(file)
    del file
    gc.collect()
    assert known() is None


# --- rows of a file -------------------------------------------------------------------------------


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CheckedRows:
    """Rows of a file of 24 MB, of which 4 MB may stay in memory."""
    path = tmp_path / "rows"
    values = np.random.default_rng(0).integers(0, 1 << 15, (ROWS, ROW_VALUES), np.uint16)
    path.write_bytes(values.tobytes())
    monkeypatch.setattr(checked, "PAGES", MappedPages(LIMIT))
    monkeypatch.setattr(checked, "STRETCHES", 1)
    file = np.asarray(np.memmap(path, np.uint8, mode="r"))
    return CheckedRows(file.view(np.uint16).reshape(-1, ROW_VALUES), file, 0, block_sums(file), "")


def resident_bytes(path: Path) -> int:
    """Return how many bytes of a mapped file are in this process."""
    found, inside = 0, False
    for line in Path("/proc/self/smaps").read_text("utf-8").splitlines():
        first = line.split()[0]
        if not first.endswith(":"):
            inside = line.endswith(str(path))
        elif inside and first == "Rss:":
            found += int(line.split()[1]) << 10
    return found


READS: dict[str, Callable[[CheckedRows], object]] = {
    "scattered": lambda rows: rows.take(np.random.default_rng(1).integers(0, ROWS, 2000)),
    "every one": lambda rows: rows.take(np.arange(0, ROWS, 10)),
    "backwards": lambda rows: rows.take(np.arange(ROWS)[::-10]),
    "one by one": lambda rows: [rows.take(np.array([row])) for row in range(0, ROWS, 100)],
    "spans": lambda rows: [int(rows.span(at, at + 999).sum()) for at in range(0, ROWS, 999)],
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which pages a process holds")
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_few_pages_stay_in_memory(
    rows: CheckedRows, tmp_path: Path, read: Callable[[CheckedRows], object]
) -> None:
    rows.let_go()
    assert resident_bytes(tmp_path / "rows") == 0
    for _ in range(2):
        read(rows)
        # Linux may map as much round the first and the last byte that were read.
        assert 0 < resident_bytes(tmp_path / "rows") <= LIMIT + 2 * checked.NEAR_BYTES


def test_rows_are_the_same_while_other_threads_drop_their_pages(
    rows: CheckedRows, tmp_path: Path
) -> None:
    expected = np.fromfile(tmp_path / "rows", np.uint16).reshape(-1, ROW_VALUES)

    def read(seed: int) -> bool:
        places = np.random.default_rng(seed).integers(0, ROWS, 500)
        same = np.array_equal(rows.take(places), expected[places])
        start = int(places[0])
        return same and np.array_equal(rows.span(start, start + 9), expected[start : start + 9])

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(64)))


@pytest.mark.parametrize("stretches", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_rows_taken_in_parts_are_those_taken_at_once(
    rows: CheckedRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stretches: int, count: int
) -> None:
    expected = np.fromfile(tmp_path / "rows", np.uint16).reshape(-1, ROW_VALUES)
    monkeypatch.setattr(checked, "STRETCHES", stretches)
    monkeypatch.setattr(checked, "NEAR_BYTES", 3000)
    for places in (np.arange(count), np.random.default_rng(count).integers(0, ROWS, count)):
        np.testing.assert_array_equal(rows.take(places), expected[places])
