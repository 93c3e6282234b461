"""SqliteDatabase: a catalogue in a file of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy import Connection, create_engine, event, exc, text
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool, QueuePool

from indexer.errors import StoreError, StoreLockedError
from indexer.sources.place import Place
from indexer.store.catalog.connection import (
    LOCK,
    catalog_error,
    connect,
    is_writable,
    unwritable,
)
from indexer.store.catalog.text_matching import teach_casefold
from indexer.store.folder import open_folder


class SqliteDatabase:
    """The catalogue file at `path`, which is absolute; see `Database`."""

    name = "SQLite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)
        self.store = path.parent
        self.engine: Engine = create_engine(
            "sqlite://",
            creator=lambda: connect(path, create=True, isolation_level="DEFERRED"),
            poolclass=QueuePool if is_writable(path) else NullPool,
        )
        event.listen(self.engine, "connect", _configure)

    def exists(self) -> bool:
        return self.path.is_file()

    def begin(self, connection: Connection) -> None:
        # sqlite3 opens no transaction for queries by itself
        connection.exec_driver_sql("BEGIN")

    def begin_writing(self, connection: Connection) -> None:
        """Do nothing: there is one writer, which holds the lock."""

    def begin_upgrade(self, connection: Connection, *, is_new: bool) -> None:
        del is_new  # a file is made when it is opened
        # sqlite3 opens no transaction for DDL by itself
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def writer(self) -> Engine:
        return self.engine

    @contextmanager
    def locked(self, places: Sequence[Place] | None = None) -> Iterator[None]:
        del places  # one lock for all
        lock = FileLock(self.store / LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise StoreLockedError(
                f"Another process is writing to {self.store}. Wait for it to end, and try again."
            ) from error
        except OSError as error:
            raise StoreError(unwritable(self.store, error.strerror or str(error))) from error
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        yield True

    def last_id(self, connection: Connection, table: str) -> int:
        sequence = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
        return int(connection.execute(sequence, {"table": table}).scalar() or 0)

    def keep_last_id(self, connection: Connection, table: str, last: int) -> None:
        """Do nothing: SQLite keeps it by itself."""

    def faults(self, connection: Connection) -> list[str]:
        lines = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
        return [] if lines == ["ok"] else lines

    def checkpoint(self) -> None:
        """Bring all commits into the file itself, as far as no reader needs an older state."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def error(self, error: exc.DBAPIError) -> StoreError:
        return catalog_error(error.orig or error, self.path)

    def set_aside(self) -> None:
        name = self.path.name
        with open_folder(self.store) as folder:
            for suffix in ("-wal", "-shm", "-journal"):
                folder.delete(f"{name}{suffix}")
            if folder.exists(name):
                folder.replace(name, f"{self.path.stem}.damaged{self.path.suffix}")

    def drop(self) -> None:
        """Do nothing: the file is in the folder of the store."""


def _configure(connection: sqlite3.Connection, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
    teach_casefold(connection)
