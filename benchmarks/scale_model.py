"""What a collection takes in time, room and money, from what smaller ones took.

Each quantity is a sum of terms with coefficients that are never negative: the terms say how it
grows, and the coefficients are fitted to what was measured, each size weighing the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls


@dataclass(frozen=True)
class Size:
    """How large a collection is: its images, their region vectors, and what a search scans.

    `cells` is the number of cells of the IVF index, `scanned` the vectors in those of a search.
    """

    images: int
    rows: int
    cells: int
    scanned: int


Term = Callable[[Size], float]

GB = 1e9
TRAINED_PER_CELL = 40
TRAINED_ROWS = 65_536


def _constant(_: Size) -> float:
    return 1.0


def _trained(size: Size) -> float:
    """Return the comparisons of a round of k-means."""
    return float(max(TRAINED_PER_CELL * size.cells, min(size.rows, TRAINED_ROWS)) * size.cells)


TERMS: Mapping[str, Sequence[Term]] = {
    "commit_s": [lambda s: s.rows],
    "join_s": [lambda s: s.rows],
    "train_s": [_constant, _trained],
    "add_s": [lambda s: s.rows, lambda s: s.rows * s.cells],
    "calibrate_s": [_constant, lambda s: s.rows],
    "vectors_gb": [lambda s: s.rows],
    "catalog_gb": [lambda s: s.rows],
    "index_gb": [lambda s: s.rows, lambda s: s.cells],
    "search_ms": [_constant, lambda s: s.scanned],
}
"""What is measured, and the terms in which it grows."""


class Model:
    """Coefficients of the terms of each quantity, fitted to measurements."""

    def __init__(self, sizes: Sequence[Size], measured: Sequence[Mapping[str, float]]) -> None:
        self._coefficients = {
            name: _fit(terms, sizes, [values[name] for values in measured])
            for name, terms in TERMS.items()
        }

    def predict(self, size: Size) -> dict[str, float]:
        """Return each quantity for a collection of this size."""
        return {
            name: float(self._coefficients[name] @ [term(size) for term in terms])
            for name, terms in TERMS.items()
        }


def _fit(terms: Sequence[Term], sizes: Sequence[Size], values: Sequence[float]) -> np.ndarray:
    """Return the coefficients, none negative, with the least relative errors."""
    wanted = np.array(values)
    rows = np.array([[term(size) for term in terms] for size in sizes]) / wanted[:, None]
    scales = np.abs(rows).max(axis=0)
    found, _ = nnls(rows / scales, np.ones(len(wanted)))
    return np.asarray(found / scales)


@dataclass(frozen=True)
class Prices:
    """What a unit costs: a core for an hour, and a gigabyte of disk or memory for a month."""

    core_hour: float
    disk_gb_month: float
    memory_gb_month: float


@dataclass(frozen=True)
class Estimate:
    """What a collection takes.

    `describe_core_h` is spread over workers, `join_h` and `index_h` are those of one process on
    two cores. `memory_gb` is what the IVF index and the catalogue's most used pages take.
    """

    size: Size
    describe_core_h: float
    join_h: float
    index_h: float
    disk_gb: float
    memory_gb: float
    search_ms: float
    once: float
    a_month: float


@dataclass(frozen=True)
class ServerIndex:
    """What an index of a server keeps of a vector, in bytes."""

    name: str
    memory: int
    disk: int


FLOATS = 4 * 384  # bytes of a vector
SERVER_INDEXES = (
    ServerIndex("HNSW", FLOATS + 192, 0),
    ServerIndex("IVF_SQ8", 384 + 8, 0),
    ServerIndex("IVF_PQ", 64 + 8, FLOATS),
    ServerIndex("IVF_RABITQ", 48 + 384, 0),
    ServerIndex("DISKANN", FLOATS // 8 + FLOATS // 10 + 1, 2048),
    ServerIndex("DISKANN, lean", 60, 2048),
)
NODE_GB = 96  # of memory that a node of 128 GB gives to vectors


def describe_server(index: ServerIndex, rows: int, prices: Prices) -> str:
    """Return what so many vectors take on servers."""
    memory_gb, disk_gb = index.memory * rows / GB, index.disk * rows / GB
    a_month = memory_gb * prices.memory_gb_month + disk_gb * prices.disk_gb_month
    return (
        f"{index.name:14} memory {memory_gb:8,.0f} GB, disk {disk_gb:8,.0f} GB, "
        f"{math.ceil(memory_gb / NODE_GB):3} nodes, a month {a_month:8,.0f}"
    )


CORES = 2  # of the process that joins and indexes


def estimate(model: Model, size: Size, image_core_s: float, prices: Prices) -> Estimate:
    """Return what a collection takes, where one image takes `image_core_s` of a core."""
    found = model.predict(size)
    describe_core_h = size.images * image_core_s / 3600
    join_h = found["join_s"] / 3600
    index_h = (found["train_s"] + found["add_s"] + found["calibrate_s"]) / 3600
    disk_gb = found["vectors_gb"] + found["catalog_gb"] + found["index_gb"]
    memory_gb = found["index_gb"]
    return Estimate(
        size,
        describe_core_h,
        join_h,
        index_h,
        disk_gb,
        memory_gb,
        found["search_ms"],
        once=(describe_core_h + CORES * (join_h + index_h)) * prices.core_hour,
        a_month=disk_gb * prices.disk_gb_month + memory_gb * prices.memory_gb_month,
    )
