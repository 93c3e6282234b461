"""Catalogues of each kind, and what tests ask of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest

from indexer.store.catalog.postgres_database import PostgresDatabase
from indexer.store.catalog.protocol import Catalog
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.catalog.sqlite_reader import SqliteReader
from tests.postgres import DATABASE, Server

KINDS = ("sqlite reader", "sqlite", "postgresql")


def roots_of(catalog: Catalog) -> dict[int, str]:
    """The folders of photos by id."""
    return {id_: root.path for id_, root in catalog.state().roots.items()}


class Place(Protocol):
    """Where a catalogue is kept."""

    def writer(self) -> SqlAlchemyCatalog:
        """What writes to it; its tables may not be there yet."""

    def reader(self) -> Catalog:
        """What reads it, with connections of its own."""

    def run_sql(self, *statements: str) -> None:
        """Change it behind the back of cbir."""


@dataclass(frozen=True)
class SqliteFile:
    """A file that a `Catalog` of one kind reads."""

    file: Path
    opened: Callable[[Path], Catalog]

    def writer(self) -> SqlAlchemyCatalog:
        return SqlAlchemyCatalog(self.file)

    def reader(self) -> Catalog:
        return self.opened(self.file)

    def run_sql(self, *statements: str) -> None:
        connection = sqlite3.connect(self.file)
        with connection:
            for statement in statements:
                connection.execute(statement)
        connection.close()


@dataclass(frozen=True)
class PostgresSchema:
    """A schema of a server."""

    server: Server
    schema: str
    store: Path

    def writer(self) -> SqlAlchemyCatalog:
        return SqlAlchemyCatalog(PostgresDatabase(self.server.url, self.schema, self.store))

    def reader(self) -> Catalog:
        return self.writer()

    def run_sql(self, *statements: str) -> None:
        without_keys = "SET session_replication_role TO replica"
        here = f"SET search_path TO {self.schema}"
        self.server.run_sql(DATABASE, without_keys, here, *statements)


def place_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> Place:
    """Return a new place for a catalogue of a kind."""
    if kind == "postgresql":
        server: Server = request.getfixturevalue("postgres")
        return PostgresSchema(server, f"cbir_{uuid4().hex[:12]}", folder)
    # A connection must not take its name for options.
    file = folder / "what?mode=ro #1.sqlite"
    return SqliteFile(file, SqliteReader if kind == "sqlite reader" else SqlAlchemyCatalog)


def url_of(request: pytest.FixtureRequest) -> str | None:
    """Return where a store of the parameter's kind has its catalogue: None is a file of its own."""
    if request.param == "SQLite":
        return None
    server: Server = request.getfixturevalue("postgres")
    return server.url
