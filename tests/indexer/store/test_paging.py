"""Rows of memory-mapped files: which pages are asked for, and when."""

from __future__ import annotations

import mmap
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.store.paging import ANNOUNCED, PageReader, announce, disk_waits

PAGE = mmap.PAGESIZE
unix = pytest.mark.skipif(sys.platform == "win32", reason="Windows maps files in another way")


class Watched(mmap.mmap):
    """A memory map that notes what is asked for."""

    asked: list[tuple[int, int]]

    def madvise(self, option: int, start: int = 0, length: int = 0) -> None:
        assert option == mmap.MADV_WILLNEED
        super().madvise(option, start, length)
        self.asked.append((start, length))


def watched(rows: int, columns: int, offset: int = 128) -> tuple[Watched, np.ndarray]:
    file = Watched(-1, offset + rows * columns * 2)
    file.asked = []
    values = np.ndarray((rows, columns), np.float16, file, offset)  # as numpy maps a file
    values[:] = np.arange(rows)[:, None] % 1000
    return file, values


@unix
@given(st.lists(st.integers(0, 299), max_size=40), st.sampled_from([8, 100, 384, 5000]))
def test_the_pages_of_all_rows_are_asked_for_and_no_others(rows: list[int], columns: int) -> None:
    file, array = watched(300, columns)
    announce(array, np.array(rows, np.int64))
    asked = [
        page
        for start, length in file.asked
        for page in range(start // PAGE, -(-(start + length) // PAGE))
    ]
    wanted = {
        page
        for row in rows
        for page in range(
            (128 + row * columns * 2) // PAGE, (128 + (row + 1) * columns * 2 - 1) // PAGE + 1
        )
    }
    assert sorted(asked) == sorted(wanted)  # each once


@unix
def test_neighbours_are_asked_for_together() -> None:
    file, array = watched(3000, 384)
    announce(array, np.r_[2000:2049, 10:59])
    assert len(file.asked) == 2


def test_an_array_in_memory_needs_no_asking() -> None:
    announce(np.zeros((5, 4), np.float16), np.array([1, 4]))


@unix
def test_rows_are_announced_until_the_disk_has_not_been_waited_for_in_a_while() -> None:
    file, array = watched(100, 3000)
    waits = 7
    reader = PageReader(lambda: waits)
    rows = np.array([50, 3, 70])

    def asked() -> int:
        file.asked.clear()
        np.testing.assert_array_equal(reader.take(array, rows), array[rows])
        return len(file.asked)

    assert [asked() for _ in range(ANNOUNCED)] == [3] * ANNOUNCED
    assert asked() == 0
    waits += 1
    assert [asked() for _ in range(ANNOUNCED)] == [3] * ANNOUNCED
    assert asked() == 0


@unix
def test_rows_that_wait_although_the_first_did_not_have_the_next_ones_announced() -> None:
    file, array = watched(100, 3000)
    counts = iter([0] * (ANNOUNCED + 1) + [0, 1] + [1] * 9)  # the probe, then the rest
    reader = PageReader(lambda: next(counts))
    few, rows = np.array([1]), np.array([50, 3, 70])
    for _ in range(ANNOUNCED):
        reader.take(array, few)
    file.asked.clear()
    reader.take(array, rows)
    assert not file.asked
    reader.take(array, rows)
    assert len(file.asked) == 3


def test_a_system_that_tells_of_no_waits_counts_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "resource", None)
    assert disk_waits() == 0
    assert PageReader().take(np.arange(4)[:, None], np.array([2])).tolist() == [[2]]
