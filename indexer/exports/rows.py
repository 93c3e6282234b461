"""Rows: vectors or boxes with their ids, as they flow between a store and an exported folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from indexer.arrays import IdArray

REGIONS = "regions"  # the table of boxes; those of vectors have the names of their kinds
ImageRecord = dict[str, Any]
"""An image by the names of the columns, see `records.COLUMNS`."""


@dataclass(frozen=True)
class Rows:
    """Rows of a table: their ids (N,), the ids of their images (N,), and values (N, D).

    Values are vectors in float16, or boxes x0, y0, x1, y1 in int64.
    """

    ids: IdArray
    image_ids: IdArray
    values: npt.NDArray[Any]

    def __len__(self) -> int:
        """Return how many rows there are."""
        return len(self.ids)

    @property
    def byte_count(self) -> int:
        """How many bytes they take."""
        return self.ids.nbytes + self.image_ids.nbytes + self.values.nbytes

    def part(self, start: int, stop: int | None = None) -> Rows:
        """Return some of the rows, which are not copied."""
        place = slice(start, stop)
        return Rows(self.ids[place], self.image_ids[place], self.values[place])

    @classmethod
    def join(cls, parts: Sequence[Rows]) -> Rows:
        """Return the rows of some parts, at least one, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.image_ids for part in parts]),
            np.concatenate([part.values for part in parts]),
        )


@dataclass(frozen=True)
class Table:
    """What a table of rows is to hold: so many, of so many values of one type."""

    rows: int
    width: int
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, name: str, rows: int, width: int) -> Table:
        """Return the table of that name: of boxes, or of the vectors of a kind."""
        return cls(rows, width, np.dtype(np.int64 if name == REGIONS else np.float16))


class ExportWriter(Protocol):
    """Writes the files of an export, in a folder of its own; raises `OSError`."""

    def add_images(self, records: Sequence[ImageRecord]) -> None:
        """Write images."""

    def add_rows(self, table: str, rows: Rows) -> None:
        """Write rows of a table."""

    def close(self) -> None:
        """Finish all files."""


class ExportSource(Protocol):
    """Reads the files of an export, a bounded part at a time.

    What is read is of the types that are wanted, and no more than that is checked. Raises
    `ExportError` where a file cannot be read or has other columns, and `OSError`.
    """

    def images(self) -> Iterator[list[ImageRecord]]:
        """Yield all images, some at a time."""

    def rows(self, name: str, table: Table) -> Iterator[Rows]:
        """Yield all rows of a table, some at a time."""


def file_names(table: str, suffixes: Mapping[str, str]) -> dict[str, str]:
    """Return the files of a table of rows, by the parts that have `suffixes`."""
    stem = table if table == REGIONS else f"vectors-{table}"
    return {part: f"{stem}{suffix}" for part, suffix in suffixes.items()}
