"""SqliteReader: the catalogue read through SQLite alone, for the first query of a process.

Importing SQLAlchemy takes longer than answering a query.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.errors import StoreError
from indexer.store.catalog.connection import catalog_error, connect, is_writable
from indexer.store.catalog.questions import AskWith, CatalogQuestions
from indexer.store.catalog.schema import SCHEMA_VERSIONS

IDLE = 2  # connections kept for the next question: each maps the file for itself


class SqliteReader(CatalogQuestions):
    """Reads the catalogue file at `path`, which is absolute; see `Catalog`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.parent)
        self.path = path
        self._keeps = is_writable(path)
        self._idle: deque[sqlite3.Connection] = deque()

    def is_current(self) -> bool:
        """Whether the catalogue can be read and has the schema that this program knows."""
        try:
            with self.moment() as ask:
                [(version,)] = list(ask("SELECT version_num FROM alembic_version", ()))
        except (StoreError, ValueError):
            return False
        return bool(version == SCHEMA_VERSIONS[-1])

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def moment(self) -> Iterator[AskWith]:
        connection = self._connection()
        try:
            connection.execute("BEGIN")
            yield connection.execute
            connection.execute("COMMIT")
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error | UnicodeDecodeError):
                raise catalog_error(error, self.path) from error
            raise
        if self._keeps and len(self._idle) < IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _connection(self) -> sqlite3.Connection:
        with contextlib.suppress(IndexError):  # all are in use
            return self._idle.pop()
        try:
            return connect(self.path)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise catalog_error(error, self.path) from error
