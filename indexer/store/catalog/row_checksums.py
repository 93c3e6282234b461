"""Checksums of the catalogue's rows: SQLite has none of its own.

A changed bit in a number or a name leaves a database that looks well, so each row carries one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from types import UnionType
from typing import NamedTuple

import numpy as np

from indexer.arrays import BoolArray, IdArray

_MODULUS = np.int64(2**31 - 1)  # a prime: a change of one value always changes the sum
_FACTORS = np.array([1_000_003, 998_244_353, 402_653_189, 805_306_457, 201_326_611, 50_331_653])


def row_checksum(values: Sequence[object]) -> int:
    """Return the checksum of a row of plain values, as the database has them: a CRC-32."""
    return zlib.crc32(repr(tuple(values)).encode())


def are_sound(rows: Iterable[Sequence[object]], types: Sequence[type | UnionType]) -> bool:
    """Whether rows, each with its checksum last, agree with it, and have values of these types.

    SQLite keeps a value of any type in any column, and anybody can make the checksum fit.
    """
    return all(
        row_checksum(row[:-1]) == row[-1]
        and all(isinstance(value, kind) for value, kind in zip(row[:-1], types, strict=True))
        for row in rows
    )


class CheckedTable(NamedTuple):
    """A table whose rows have checksums: its columns, the first `keys` of which are its key."""

    name: str
    columns: tuple[str, ...]
    types: tuple[type | UnionType, ...]
    keys: int

    @property
    def query(self) -> str:
        """What asks for all rows, each with its checksum last."""
        return f"SELECT {', '.join(self.columns)}, checksum FROM {self.name}"

    @property
    def condition(self) -> str:
        """What a row meets, with a question mark for each part of its key."""
        return " AND ".join(f"{column} = ?" for column in self.columns[: self.keys])


CONCEPTS = CheckedTable("concepts", ("id", "name", "json"), (int, str, str), 1)
TAGS = CheckedTable("tags", ("image_id", "concept_id", "probability"), (int, int, int | float), 2)
FIELDS = CheckedTable("fields", ("id", "name"), (int, str), 1)
ANNOTATIONS = CheckedTable(
    "annotations",
    ("image_id", "field_id", "text", "number"),
    (int, int, str, int | float | None),
    2,
)
DECISIONS = CheckedTable("decisions", ("first_id", "second_id", "verdict"), (int, int, str), 2)
WARNINGS = CheckedTable("warnings", ("image_id", "text"), (int, str), 1)
CHECKED = (CONCEPTS, TAGS, FIELDS, ANNOTATIONS, DECISIONS, WARNINGS)
"""The tables of what is said of images."""


def region_checksums(rows: IdArray) -> IdArray:
    """Return the checksums (N,) of regions (N, 6): id, image id and box."""
    checksums: IdArray = (rows % _MODULUS * _FACTORS % _MODULUS).sum(axis=1) % _MODULUS
    return checksums


def are_intact(rows: IdArray) -> BoolArray:
    """Say of each region (N, 7), with its checksum last, whether it agrees with it."""
    intact: BoolArray = region_checksums(rows[:, :6]) == rows[:, 6]
    return intact
