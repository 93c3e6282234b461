"""SqliteReader: the catalogue read through SQLite alone, for the first query of a process.

The tables are those of `tables.py`. Importing SQLAlchemy takes longer than answering a query.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from indexer.arrays import IdArray
from indexer.errors import StoreError
from indexer.store.catalog.connection import catalog_error, connect, is_writable
from indexer.store.catalog.paths import from_stored, to_stored
from indexer.store.catalog.protocol import (
    ImageFields,
    IvfEntry,
    KindEntries,
    SegmentEntry,
)
from indexer.store.catalog.schema import SCHEMA_VERSIONS

PLACES = 500  # ids asked for in one statement


class SqliteReader:
    """Reads the catalogue file at `path`, which is absolute; see `Catalog`."""

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
        with self._moment() as ask:
            row = ask("SELECT json FROM spec WHERE id = 1", ()).fetchone()
        return None if row is None else str(row[0])

    def keeps_keypoints(self) -> bool:
        with self._moment() as ask:
            row = ask("SELECT keypoints FROM spec WHERE id = 1", ()).fetchone()
        return row is not None and bool(row[0])

    def roots(self) -> dict[int, str]:
        with self._moment() as ask:
            rows = ask("SELECT id, path FROM roots ORDER BY id", ()).fetchall()
        return {id_: from_stored(path) for id_, path in rows}

    def root_rows(self) -> dict[int, tuple[str, str]]:
        with self._moment() as ask:
            rows = ask("SELECT id, options, skipped FROM roots", ()).fetchall()
        return {id_: (options, skipped) for id_, options, skipped in rows}

    def images(self, ids: Sequence[int]) -> list[ImageFields]:
        found = []
        with self._moment() as ask:
            for start in range(0, len(ids), PLACES):
                part = ids[start : start + PLACES]
                found += _image_fields(ask(f"{_IMAGES} images.id IN ({_places(part)})", part))
        return found

    def image_at(self, root_id: int, path: str) -> ImageFields | None:
        where = "images.state = 'ok' AND images.root_id = ? AND images.path = ?"
        with self._moment() as ask:
            found = _image_fields(ask(f"{_IMAGES} {where}", (root_id, to_stored(path))))
        return found[0] if found else None

    def images_of(self, content_hash: bytes) -> list[int]:
        query = "SELECT id FROM images WHERE state != 'failed' AND content_hash = ? ORDER BY id"
        with self._moment() as ask:
            return [id_ for (id_,) in ask(query, (content_hash,))]

    def boxes(self, ids: Sequence[int]) -> IdArray:
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
        with self._moment() as ask:
            segments = ask(
                "SELECT id, rows, dimension FROM segments WHERE kind = ? ORDER BY id", (kind,)
            ).fetchall()
            ivf = ask(
                "SELECT id, form, rows, trained_rows, nprobe, recall FROM lists WHERE kind = ?",
                (kind,),
            ).fetchone()
            removed = ask("SELECT image_id FROM removed", ()).fetchall()
        return KindEntries(
            [SegmentEntry(id_, kind, *rest) for id_, *rest in segments],
            None if ivf is None else IvfEntry(ivf[0], kind, *ivf[1:]),
            np.array(removed, np.int64).reshape(-1),
        )

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _moment(self) -> Iterator[Callable[[str, Sequence[object]], sqlite3.Cursor]]:
        """Yield a function that executes statements, all of which see the same moment."""
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
