"""Cursor: the rows of a table, taken image by image and checked on the way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from indexer.errors import ExportError
from indexer.exports.rows import REGIONS, ExportSource, Rows, Table
from indexer.store.vectors.faults import LENGTH_TOLERANCE
from indexer.store.vectors.segments import to_float32


class Cursor:
    """Reads a table whose rows follow each other in the order of their images, once.

    Raises `ExportError` where they do not, where vectors are no unit vectors, or there are other
    rows than the `table` says.
    """

    def __init__(self, name: str, table: Table, source: ExportSource) -> None:
        self._name, self._table = name, table
        self._parts = source.rows(name, table)
        self._held = Rows(*_nothing(table))
        self._last, self._count = 0, 0

    def until(self, image_id: int) -> Rows:
        """Return the next rows, up to those of the image of this id."""
        taken = [self._take(image_id)]
        while not len(self._held) and self._next():
            taken.append(self._take(image_id))
        return Rows.join(taken)

    def require_end(self) -> None:
        """Raise `ExportError` where rows are left, or there were too few."""
        if len(self._held) or self._next():
            raise ExportError(f"{self._name} has rows of images that there are not")
        if self._count != self._table.rows:
            raise ExportError(
                f"{self._name} has {self._count:,} rows, not {self._table.rows:,} as it should"
            )

    def _take(self, image_id: int) -> Rows:
        stop = int(np.searchsorted(self._held.image_ids, image_id, side="right"))
        taken, self._held = self._held.part(0, stop), self._held.part(stop)
        return taken

    def _next(self) -> bool:
        """Hold the next rows that the file has; whether there are any."""
        for part in self._parts:
            if len(part):
                self._check(part)
                self._held = part
                return True
        return False

    def _check(self, part: Rows) -> None:
        ids = part.image_ids
        if ids[0] < self._last or (ids[1:] < ids[:-1]).any():
            raise ExportError(f"the rows of {self._name} are not in the order of their images")
        self._last = int(ids[-1])
        self._count += len(part)
        if self._name == REGIONS:
            return
        if not np.isfinite(part.values).all():
            raise ExportError(f"{self._name} has vectors with values that are no numbers")
        lengths = np.linalg.norm(to_float32(part.values), axis=1)
        if (np.abs(lengths - 1) >= LENGTH_TOLERANCE).any():
            raise ExportError(f"{self._name} has vectors whose length is not 1")


def split_by_image(rows: Rows, image_ids: list[int]) -> Iterator[Rows]:
    """Yield the rows of each of these images, ascending."""
    wanted = np.array(image_ids, np.int64)
    starts = np.searchsorted(rows.image_ids, wanted, side="left").tolist()
    stops = np.searchsorted(rows.image_ids, wanted, side="right").tolist()
    for start, stop in zip(starts, stops, strict=True):
        yield rows.part(start, stop)


def _nothing(table: Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    none = np.empty(0, np.int64)
    return none, none, np.empty((0, table.width), table.dtype)
