"""How much of a vector file that is read by memory map stays in the memory of the process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from indexer import memory
from indexer.errors import StoreCorruptError
from indexer.memory import hold_few_pages, holds_few_pages
from indexer.store.vectors.checked import CheckedRows, block_sums

FILE_BYTES = 24 << 20
ROW_VALUES = 384  # of two bytes
ROWS = FILE_BYTES // 2 // ROW_VALUES
SCATTERED = np.random.default_rng(1).integers(0, ROWS, 2000)


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_FEW_PAGES", Event())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 1 << 15, (ROWS, ROW_VALUES), np.uint16)
    (tmp_path / "rows").write_bytes(values.tobytes())
    return tmp_path / "rows"


@pytest.fixture
def rows(path: Path) -> CheckedRows:
    file = np.asarray(np.memmap(path, np.uint8, mode="r"))
    found = CheckedRows(file.view(np.uint16).reshape(-1, ROW_VALUES), file, 0, block_sums(file), "")
    found.let_go()
    return found


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
    "scattered": lambda rows: rows.take(SCATTERED),
    "every one": lambda rows: rows.take(np.arange(0, ROWS, 10)),
    "backwards": lambda rows: rows.take(np.arange(ROWS)[::-10]),
    "one by one": lambda rows: [rows.take(np.array([row])) for row in range(0, ROWS, 100)],
}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which pages a process holds")
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_no_pages_stay_where_few_are_to_be_held(
    rows: CheckedRows, path: Path, read: Callable[[CheckedRows], object]
) -> None:
    read(rows)
    assert resident_bytes(path) > FILE_BYTES // 100
    rows.let_go()
    assert not holds_few_pages()
    hold_few_pages()
    assert holds_few_pages()
    read(rows)
    assert resident_bytes(path) == 0


def test_rows_are_the_same(rows: CheckedRows, path: Path) -> None:
    values = np.fromfile(path, np.uint16).reshape(-1, ROW_VALUES)
    for _ in range(2):
        for wanted in (SCATTERED, np.arange(ROWS)[::-7], np.array([5]), np.empty(0, np.int64)):
            np.testing.assert_array_equal(rows.take(wanted), values[wanted])
        hold_few_pages()


def test_rows_are_the_same_while_other_threads_drop_their_pages(
    rows: CheckedRows, path: Path
) -> None:
    values = np.fromfile(path, np.uint16).reshape(-1, ROW_VALUES)
    hold_few_pages()

    def read(seed: int) -> None:
        for _ in range(20):
            wanted = np.random.default_rng(seed).integers(0, ROWS, 300)
            np.testing.assert_array_equal(rows.take(wanted), values[wanted])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(read, range(4)))


def test_damaged_rows_are_told_all_the_same(path: Path) -> None:
    file = np.asarray(np.memmap(path, np.uint8, mode="r"))
    sums = block_sums(file)
    sums[-1] ^= np.uint64(1)
    rows = CheckedRows(file.view(np.uint16).reshape(-1, ROW_VALUES), file, 0, sums, "rows")
    hold_few_pages()
    assert len(rows.take(np.arange(10))) == 10
    with pytest.raises(StoreCorruptError, match="checksum"):
        rows.take(np.arange(ROWS))
