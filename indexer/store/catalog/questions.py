"""CatalogQuestions: the queries that answer what `Catalog` is asked, on any connection."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from indexer.arrays import IdArray
from indexer.errors import StoreCorruptError
from indexer.store.catalog.paths import from_stored, to_stored
from indexer.store.catalog.protocol import CatalogState, ImageFields
from indexer.store.catalog.row_checksums import (
    ANNOTATIONS,
    FIELDS,
    CheckedTable,
    are_intact,
    are_sound,
    row_checksum,
)
from indexer.store.catalog.state import read_state

IDS_A_STATEMENT = 500
MOST_ID = 2**63 - 1  # databases take no larger numbers, people may type some

AskWith = Callable[[str, Sequence[object]], Iterable[Sequence[Any]]]
"""Executes a query with values for its question marks, and returns its rows."""

# All that a row says, in the order of its checksum, which comes last.
IMAGE_COLUMNS = (
    "id, root_id, path, size_bytes, mtime_ns, content_hash, state, reason, width, height, "
    "format, taken_at, camera, ctime_ns, inode, pages"
)
ALL_IMAGES = f"SELECT {IMAGE_COLUMNS}, checksum FROM images"


class CatalogQuestions(ABC):
    """Answers `Catalog` by plain queries; each row is checked against its checksum.

    The tables are those of `tables.py`; `store` is the folder of the store.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self._state: CatalogState | None = None

    @abstractmethod
    def moment(self) -> AbstractContextManager[AskWith]:
        """Open a moment: all that is asked in it sees the same commit."""

    # --- the store as a whole ---------------------------------------------------------------------

    def commits(self) -> int:
        with self.moment() as ask:
            found = list(ask("SELECT commits FROM state", ()))
        return int(found[0][0]) if found else 0

    def state(self) -> CatalogState:
        with self.moment() as ask:
            return self._state_of(ask)

    def _state_of(self, ask: AskWith) -> CatalogState:
        self._state = read_state(lambda query: ask(query, ()), str(self.store), known=self._state)
        return self._state

    # --- images and regions -----------------------------------------------------------------------

    def images(self, ids: Sequence[int]) -> list[ImageFields]:
        found: list[ImageFields] = []
        with self.moment() as ask:
            for part in parts_of([image_id for image_id in ids if abs(image_id) <= MOST_ID]):
                found += self._fields(ask, f"{ALL_IMAGES} WHERE id IN ({places(part)})", part)
        return found

    def image_at(self, root_id: int, path: str) -> ImageFields | None:
        where = "WHERE state = 'ok' AND root_id = ? AND path = ?"
        with self.moment() as ask:
            found = self._fields(ask, f"{ALL_IMAGES} {where}", (root_id, to_stored(path)))
        return found[0] if found else None

    def images_of(self, content_hash: bytes) -> list[int]:
        where = "WHERE state != 'failed' AND content_hash = ? ORDER BY id"
        with self.moment() as ask:
            return [row.id for row in self._fields(ask, f"{ALL_IMAGES} {where}", (content_hash,))]

    def boxes(self, ids: Sequence[int]) -> IdArray:
        if not len(ids):
            return np.empty((0, 4), np.int64)
        columns = "id, image_id, x0, y0, x1, y1, checksum"
        found: list[Sequence[int]] = []
        with self.moment() as ask:
            for part in parts_of(ids):
                found += ask(f"SELECT {columns} FROM regions WHERE id IN ({places(part)})", part)
        return self._in_order(ids, found)

    def annotations(self, ids: Sequence[int]) -> dict[int, dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        with self.moment() as ask:
            fields = self._sound(FIELDS, ask(FIELDS.query, ()))
            names = {row[0]: row[1] for row in sorted(fields, key=lambda row: int(row[0]))}
            if not names:
                return {}
            for part in parts_of(ids):
                where = f"WHERE image_id IN ({places(part)}) ORDER BY image_id, field_id"
                rows = self._sound(ANNOTATIONS, ask(f"{ANNOTATIONS.query} {where}", part))
                for image_id, field_id, text, *_ in rows:
                    found.setdefault(image_id, {})[names[field_id]] = text
        return found

    def _sound(self, table: CheckedTable, rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        found = list(rows)
        if not are_sound(found, table.types):
            raise self.damaged(table.name)
        return found

    def _in_order(self, ids: Sequence[int], found: Sequence[Sequence[int]]) -> IdArray:
        try:
            rows = np.array(found, np.int64).reshape(-1, 7)
        except (TypeError, ValueError, OverflowError) as error:
            raise self.damaged("regions") from error
        if not are_intact(rows).all():
            raise self.damaged("regions")
        order = np.argsort(rows[:, 0])
        rows = np.vstack([rows[order], np.zeros((1, 7), np.int64)])
        own = np.searchsorted(rows[:-1, 0], ids)
        boxes: IdArray = rows[np.where(rows[own, 0] == ids, own, len(rows) - 1), 2:6]
        return boxes

    def _fields(self, ask: AskWith, query: str, values: Sequence[object]) -> list[ImageFields]:
        rows = self.checked_images(ask(query, values))
        try:
            return [
                ImageFields(
                    id=row[0],
                    root_id=row[1],
                    path=from_stored(row[2]),
                    width=row[8],
                    height=row[9],
                    taken_at=_time(row[11]),
                    camera=row[12],
                    content_hash=row[5],
                )
                for row in rows
            ]
        except (TypeError, ValueError, AttributeError) as error:
            raise self.damaged("images") from error

    def checked_images(self, rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        """Return rows of `IMAGE_COLUMNS` and a checksum; raises `StoreCorruptError`."""
        found = list(rows)
        if not all(row_checksum(row[:-1]) == row[-1] and stays_below(row[2]) for row in found):
            raise self.damaged("images")
        return found

    def damaged(self, what: str) -> StoreCorruptError:
        """Return the error for rows that do not agree with their checksums."""
        return StoreCorruptError(
            f"The catalogue of the store at {self.store} is damaged: what it says of some {what} "
            "does not agree with its checksum. Mend it with: cbir doctor --repair --store "
            f"{self.store}"
        )


def parts_of(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """Yield ids in as many at a time as one statement takes."""
    for start in range(0, len(ids), IDS_A_STATEMENT):
        yield ids[start : start + IDS_A_STATEMENT]


def places(values: Sequence[object]) -> str:
    """Return a question mark for each value."""
    return ",".join("?" * len(values))


def stays_below(path: object) -> bool:
    """Whether a stored path is one below its folder."""
    return isinstance(path, str) and not path.startswith("/") and ".." not in path.split("/")


def _time(stored: str | None) -> dt.datetime | None:
    return None if stored is None else dt.datetime.fromisoformat(stored)
