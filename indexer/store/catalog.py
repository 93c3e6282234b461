"""The catalogue: the only truth about what exists, in SQLite through SQLAlchemy."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    ForeignKey,
    LargeBinary,
    String,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
    exc,
)
from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from sqlalchemy.pool import NullPool, QueuePool

from indexer.errors import StoreVersionError
from indexer.store.connection import catalog_error, connect, is_writable
from indexer.store.lookup import SCHEMA_VERSIONS, from_stored, to_stored


class PathText(TypeDecorator[str]):
    """A POSIX path as text, as `to_stored` has it."""

    impl = String
    cache_ok = True

    # The signatures are SQLAlchemy's.
    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value if value is None else to_stored(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return value if value is None else from_stored(value)


class Base(DeclarativeBase):
    """Base of the tables."""


class RootRow(Base):
    """A folder of photos; paths of images are relative to it.

    `path` is relative to the folder that holds the store where the photos lie below that folder,
    so that both can move together, and absolute elsewhere.
    """

    __tablename__ = "roots"
    id: Mapped[int] = mapped_column(primary_key=True)
    path: Mapped[str] = mapped_column(PathText, unique=True)


class ImageRow(Base):
    """An image file. `state` is `ok`, or `failed` with a `reason`. Its id is never used again.

    `width` and `height` are pixels of the upright original.
    """

    __tablename__ = "images"
    __table_args__ = (UniqueConstraint("root_id", "path"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(primary_key=True)
    root_id: Mapped[int] = mapped_column(ForeignKey("roots.id"))
    path: Mapped[str] = mapped_column(PathText)
    size_bytes: Mapped[int]
    mtime_ns: Mapped[int]
    content_hash: Mapped[bytes] = mapped_column(LargeBinary(32), index=True)
    state: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str | None]
    width: Mapped[int | None]
    height: Mapped[int | None]
    format: Mapped[str | None]
    taken_at: Mapped[dt.datetime | None]
    camera: Mapped[str | None]


class RegionRow(Base):
    """A described window of an image: a half-open box in pixels of the upright original."""

    __tablename__ = "regions"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(index=True)
    x0: Mapped[int]
    y0: Mapped[int]
    x1: Mapped[int]
    y1: Mapped[int]


class SegmentRow(Base):
    """A live file of vectors of one kind: `conv`, `fc`, `region` or `region_fc`."""

    __tablename__ = "segments"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    rows: Mapped[int]
    dimension: Mapped[int]


class ListsRow(Base):
    """The live file of inverted lists of one kind, see `ApproximateIndex`.

    It holds the `rows` rows of the first segments; its lists were trained on `trained_rows` of
    them, and `nprobe` of them gave `recall`.
    """

    __tablename__ = "lists"
    __table_args__ = ({"sqlite_autoincrement": True},)
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), unique=True)
    form: Mapped[str] = mapped_column(String(16))
    rows: Mapped[int]
    trained_rows: Mapped[int]
    nprobe: Mapped[int]
    recall: Mapped[float]


class RemovedRow(Base):
    """The id of an image that is gone while its vectors are still in a segment."""

    __tablename__ = "removed"
    image_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class SpecRow(Base):
    """The one feature spec of the store, as canonical JSON, and its fingerprint.

    `index_form` is how its vectors are searched: a form, or `auto`, by their number.
    """

    __tablename__ = "spec"
    id: Mapped[int] = mapped_column(primary_key=True)
    json: Mapped[str]
    fingerprint: Mapped[str] = mapped_column(String(64))
    index_form: Mapped[str] = mapped_column(String(16), default="auto")


class Catalog:
    """The catalogue file at `path`: sessions on it, and its schema version."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine: Engine = create_engine(
            "sqlite://",
            creator=lambda: connect(path, create=True, isolation_level="DEFERRED"),
            poolclass=QueuePool if is_writable(path) else NullPool,
        )
        event.listen(self.engine, "connect", _configure)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session; what was changed in it is undone unless it commits."""
        try:
            with self._sessions() as session:
                yield session
        except exc.DatabaseError as error:
            raise catalog_error(error.orig or error, self.path) from error

    def prepare(self) -> None:
        """Create the tables, or migrate older ones; raises `StoreVersionError` for newer ones."""
        version = self._read_version()
        if version == SCHEMA_VERSIONS[-1]:
            return
        if version is not None and version not in SCHEMA_VERSIONS:
            raise StoreVersionError(
                f"The store at {self.path.parent} has schema version {version}; this cbir knows "
                f"versions up to {SCHEMA_VERSIONS[-1]}. Upgrade cbir to open it."
            )
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", "indexer.store:migrations")
        try:
            with self.engine.begin() as connection:
                # sqlite3 opens no transaction for DDL by itself
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                config.attributes["connection"] = connection
                command.upgrade(config, SCHEMA_VERSIONS[-1])
        except exc.DatabaseError as error:
            raise catalog_error(error.orig or error, self.path) from error

    def _read_version(self) -> str | None:
        try:
            with self.engine.connect() as connection:
                return connection.exec_driver_sql(
                    "SELECT version_num FROM alembic_version"
                ).scalar()
        except exc.OperationalError as error:
            if "no such table" in str(error.orig):
                return None
            raise catalog_error(error.orig or error, self.path) from error
        except exc.DatabaseError as error:
            raise catalog_error(error.orig or error, self.path) from error

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _configure(connection: sqlite3.Connection, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
