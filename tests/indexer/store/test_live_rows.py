"""Vectors that can be found, and rows that lie far apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.store.segments import Rows, Segment, read_segment, write_segment
from indexer.store.vectors import VectorIndex
from tests.clusters import DIMENSION, WINDOWS, segment


def test_live_ids_are_those_of_the_images_that_are_left() -> None:
    index = VectorIndex(DIMENSION, [segment(1, 30), segment(4, 20)])
    everything = np.arange(50) + WINDOWS
    np.testing.assert_array_equal(index.live_ids(), everything)
    index.remove(np.array([2, 5, 99]))
    live = index.live_ids()
    assert live.dtype == np.int64
    assert len(live) == len(index) == 30
    np.testing.assert_array_equal(live, everything[~np.isin(everything // WINDOWS, [2, 5])])
    index.remove(np.array([1, 3, 4]))
    assert index.live_ids().tolist() == []


def test_live_ids_come_in_the_order_of_commits() -> None:
    index = VectorIndex(DIMENSION)
    assert index.live_ids().tolist() == []
    for ids in ([3, 7], [5]):
        index.add(np.array(ids), segment(0, len(ids)).vectors.astype(np.float32))
    assert index.live_ids().tolist() == [3, 7, 5]


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_rows_taken_apart_are_the_rows_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr("indexer.store.segments.CHUNK_ROWS", chunk)
    parts: list[Segment] = []
    for name, rows in (("a", 40), ("b", 30)):
        made = segment(len(parts) * 4, rows, seed=rows)
        write_segment(tmp_path, name, made.ids, made.image_ids, made.vectors)
        parts.append(read_segment(tmp_path, name, rows, DIMENSION))
    table = Rows(parts)
    for wanted in ([], [69], np.random.default_rng(1).integers(0, 70, 50)):
        places = np.array(wanted, np.int64)
        taken = table.take_apart(places)
        assert taken.dtype == np.float32
        np.testing.assert_array_equal(taken, table.take(places))
