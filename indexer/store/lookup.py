"""CatalogLookup: what a search asks of the catalogue, in SQLite's own words.

The tables are those of `catalog.py`, which writes them through SQLAlchemy. To import that takes
longer than to answer a query, and so do, for the few rows of a query, the objects that it makes.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from indexer.errors import StoreError
from indexer.store.connection import catalog_error, connect, is_writable
from indexer.store.segments import IdArray

# In order; the last one is what this program reads and writes.
SCHEMA_VERSIONS = ("0001", "0002", "0003", "0004")
PLACES = 500  # ids that are asked for in one statement
PRIVATE_USE = 0x10FF00  # where bytes that are not UTF-8 are kept, see `to_stored`
TO_PRIVATE = {0xDC00 + byte: PRIVATE_USE + byte for byte in range(0x80, 0x100)}
FROM_PRIVATE = {private: surrogate for surrogate, private in TO_PRIVATE.items()}


class ImageFields(NamedTuple):
    """What the catalogue says of an image; `path` is relative to `root`, see `RootRow`."""

    id: int
    root: str
    path: str
    width: int | None
    height: int | None
    taken_at: dt.datetime | None
    camera: str | None


@dataclass(frozen=True)
class SegmentEntry:
    """A live file of vectors, see `SegmentRow`."""

    name: str
    rows: int
    dimension: int


@dataclass(frozen=True)
class ListsEntry:
    """The live file of inverted lists of a kind, see `ListsRow`."""

    name: str
    form: str
    rows: int
    trained_rows: int
    nprobe: int
    recall: float


@dataclass(frozen=True)
class KindEntries:
    """The live files of one kind of vectors, in order, and the images that are gone (N,)."""

    segments: list[SegmentEntry]
    lists: ListsEntry | None
    removed: IdArray


class CatalogLookup:
    """Reads the catalogue file at `path`, which is absolute; threads may ask at once.

    Each answer is that of one moment. Whatever is wrong with the file raises `StoreError`, or
    `StoreCorruptError` where it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._keeps = is_writable(path)
        self._idle: deque[sqlite3.Connection] = deque()

    def is_current(self) -> bool:
        """Whether the catalogue can be read and has the schema that this program knows."""
        try:
            with self._moment() as ask:
                [(version,)] = ask("SELECT version_num FROM alembic_version", ()).fetchall()
        except (StoreError, ValueError):
            return False
        return bool(version == SCHEMA_VERSIONS[-1])

    def spec(self) -> str | None:
        """Return the feature spec as JSON, None where it was never written."""
        with self._moment() as ask:
            row = ask("SELECT json FROM spec WHERE id = 1", ()).fetchone()
        return None if row is None else str(row[0])

    def roots(self) -> dict[int, str]:
        """Return the folders of photos by id, as stored."""
        with self._moment() as ask:
            rows = ask("SELECT id, path FROM roots", ()).fetchall()
        return {id_: from_stored(path) for id_, path in rows}

    def images(self, ids: Sequence[int]) -> list[ImageFields]:
        """Return what is known of these images; ids that are gone are left out."""
        found = []
        with self._moment() as ask:
            for start in range(0, len(ids), PLACES):
                part = ids[start : start + PLACES]
                found += _image_fields(ask(f"{_IMAGES} images.id IN ({_places(part)})", part))
        return found

    def image_at(self, root_id: int, path: str) -> ImageFields | None:
        """Return the good image at a path in a root, or None."""
        where = "images.state = 'ok' AND images.root_id = ? AND images.path = ?"
        with self._moment() as ask:
            found = _image_fields(ask(f"{_IMAGES} {where}", (root_id, to_stored(path))))
        return found[0] if found else None

    def boxes(self, ids: Sequence[int]) -> IdArray:
        """Return the boxes (N, 4) of these regions, in pixels of the upright original.

        The box of a region that is gone is all zeros.
        """
        if not len(ids):
            return np.empty((0, 4), np.int64)
        found: dict[int, tuple[int, int, int, int]] = {}
        with self._moment() as ask:
            for start in range(0, len(ids), PLACES):
                part = ids[start : start + PLACES]
                query = f"SELECT id, x0, y0, x1, y1 FROM regions WHERE id IN ({_places(part)})"
                found |= {row[0]: row[1:] for row in ask(query, part)}
        gone = (0, 0, 0, 0)
        return np.array([found.get(i, gone) for i in ids], np.int64).reshape(-1, 4)

    def files(self, kind: str) -> KindEntries:
        """Return the live files of one kind of vectors."""
        with self._moment() as ask:
            segments = ask(
                "SELECT id, rows, dimension FROM segments WHERE kind = ? ORDER BY id", (kind,)
            ).fetchall()
            lists = ask(
                "SELECT id, form, rows, trained_rows, nprobe, recall FROM lists WHERE kind = ?",
                (kind,),
            ).fetchone()
            removed = ask("SELECT image_id FROM removed", ()).fetchall()
        return KindEntries(
            [SegmentEntry(segment_name(row[0], kind), *row[1:]) for row in segments],
            None if lists is None else ListsEntry(lists_name(lists[0], lists[1], kind), *lists[1:]),
            np.array(removed, np.int64).reshape(-1),
        )

    def close(self) -> None:
        """Close the connections that nobody uses just now."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _moment(self) -> Iterator[Callable[[str, Sequence[object]], sqlite3.Cursor]]:
        """Yield what executes statements that all see the catalogue as it is now."""
        connection = self._connection()
        try:
            connection.execute("BEGIN")
            yield connection.execute
            connection.execute("COMMIT")
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise catalog_error(error, self.path) from error
            raise
        if self._keeps:
            self._idle.append(connection)
        else:
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        with contextlib.suppress(IndexError):  # all are in use
            return self._idle.pop()
        try:
            return connect(self.path)
        except sqlite3.Error as error:
            raise catalog_error(error, self.path) from error


_IMAGES = (
    "SELECT images.id, roots.path, images.path, width, height, taken_at, camera "
    "FROM images JOIN roots ON roots.id = images.root_id WHERE"
)


def _image_fields(rows: Iterable[tuple[Any, ...]]) -> list[ImageFields]:
    return [
        ImageFields(id_, from_stored(root), from_stored(path), width, height, _time(taken), camera)
        for id_, root, path, width, height, taken, camera in rows
    ]


def _time(stored: str | None) -> dt.datetime | None:
    return None if stored is None else dt.datetime.fromisoformat(stored)


def _places(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))


def segment_name(segment_id: int, kind: str) -> str:
    """Return how the files of a segment begin."""
    return f"{segment_id:08d}-{kind}"


def lists_name(lists_id: int, form: str, kind: str) -> str:
    """Return how the file of inverted lists begins."""
    return f"{lists_id:08d}-{kind}-{form}"


def to_stored(path: str) -> str:
    """Return a path as SQLite can take it, also where the file name is not valid UTF-8.

    Python shows such bytes as lone surrogates: they are moved to the last block of the private use
    area.
    """
    return path if path.isascii() else path.translate(TO_PRIVATE)


def from_stored(path: str) -> str:
    """Return what `to_stored` was given."""
    return path if path.isascii() else path.translate(FROM_PRIVATE)
