"""SqlAlchemyCatalog: the catalogue read and written through SQLAlchemy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import create_engine, event, exc, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import NullPool, QueuePool

from indexer.arrays import IdArray
from indexer.errors import StoreVersionError
from indexer.store.catalog.connection import catalog_error, connect, is_writable
from indexer.store.catalog.protocol import ImageFields, IvfEntry, KindEntries
from indexer.store.catalog.schema import SCHEMA_VERSIONS
from indexer.store.catalog.tables import (
    ImageRow,
    IvfRow,
    RegionRow,
    RootRow,
    SpecRow,
)
from indexer.store.catalog.transaction import CatalogTransaction, removed_images, segments_of
from indexer.store.records import FileState, KnownFile

IDS_A_STATEMENT = 500


class SqlAlchemyCatalog:
    """The catalogue file at `path`, which is absolute; see `Catalog` for what reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.engine: Engine = create_engine(
            "sqlite://",
            creator=lambda: connect(path, create=True, isolation_level="DEFERRED"),
            poolclass=QueuePool if is_writable(path) else NullPool,
        )
        event.listen(self.engine, "connect", _configure)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    # --- reading: `Catalog` -----------------------------------------------------------------------

    def spec(self) -> str | None:
        with self.session() as session:
            return session.scalar(select(SpecRow.json).where(SpecRow.id == 1))

    def keeps_keypoints(self) -> bool:
        with self.session() as session:
            return bool(session.scalar(select(SpecRow.keypoints)))

    def roots(self) -> dict[int, str]:
        with self.session() as session:
            rows = session.execute(select(RootRow.id, RootRow.path).order_by(RootRow.id))
            return {row.id: row.path for row in rows}

    def root_rows(self) -> dict[int, tuple[str, str]]:
        query = select(RootRow.id, RootRow.options, RootRow.skipped)
        with self.session() as session:
            return {row.id: (row.options, row.skipped) for row in session.execute(query)}

    def images(self, ids: Sequence[int]) -> list[ImageFields]:
        found: list[ImageFields] = []
        with self._moment() as session:
            for part in _parts(ids):
                rows = session.execute(_image_fields().where(ImageRow.id.in_(part)))
                found += [ImageFields(*row) for row in rows]
        return found

    def image_at(self, root_id: int, path: str) -> ImageFields | None:
        query = _image_fields().where(
            ImageRow.state == "ok", ImageRow.root_id == root_id, ImageRow.path == path
        )
        with self.session() as session:
            row = session.execute(query).one_or_none()
        return None if row is None else ImageFields(*row)

    def images_of(self, content_hash: bytes) -> list[int]:
        query = select(ImageRow.id).where(
            ImageRow.state != "failed", ImageRow.content_hash == content_hash
        )
        with self.session() as session:
            return list(session.scalars(query.order_by(ImageRow.id)))

    def boxes(self, ids: Sequence[int]) -> IdArray:
        columns = (RegionRow.id, RegionRow.x0, RegionRow.y0, RegionRow.x1, RegionRow.y1)
        found: dict[int, tuple[int, ...]] = {}
        with self._moment() as session:
            for part in _parts(ids):
                rows = session.execute(select(*columns).where(RegionRow.id.in_(part)))
                found |= {id_: tuple(box) for id_, *box in rows}
        removed = (0, 0, 0, 0)
        return np.array([found.get(i, removed) for i in ids], np.int64).reshape(-1, 4)

    def files(self, kind: str) -> KindEntries:
        with self._moment() as session:
            segments = segments_of(session, kind)
            ivf = session.scalar(select(IvfRow).where(IvfRow.kind == kind))
            removed = removed_images(session)
        return KindEntries(segments, None if ivf is None else _ivf_entry(ivf), removed)

    def close(self) -> None:
        self.engine.dispose()

    # --- reading: what an index run asks ----------------------------------------------------------

    def is_empty(self) -> bool:
        """Whether no image, readable or failed, is known."""
        with self.session() as session:
            return session.scalar(select(ImageRow.id).limit(1)) is None

    def known_files(self) -> dict[tuple[int, str], KnownFile]:
        """Return every image file, readable or failed, by (root id, path)."""
        columns = (
            ImageRow.id,
            ImageRow.root_id,
            ImageRow.path,
            ImageRow.size_bytes,
            ImageRow.mtime_ns,
            ImageRow.content_hash,
            ImageRow.ctime_ns,
            ImageRow.inode,
            ImageRow.reason,
            ImageRow.pages,
        )
        with self.session() as session:
            return {
                (row.root_id, row.path): KnownFile(
                    row.id, FileState(*row[1:8]), row.reason, row.pages
                )
                for row in session.execute(select(*columns))
            }

    def index_type(self) -> str:
        """Return how vectors are to be searched: an index type, or `auto`, by their number."""
        with self.session() as session:
            return session.scalar(select(SpecRow.index_type)) or "auto"

    # --- writing ----------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[CatalogTransaction]:
        """Open a transaction; it commits at the end, and an exception undoes it."""
        with self.session() as session:
            yield CatalogTransaction(session)
            session.commit()

    def write_spec(self, json: str, fingerprint: str) -> None:
        """Write the spec of a new catalogue."""
        with self.session() as session:
            session.add(SpecRow(id=1, json=json, fingerprint=fingerprint))
            session.commit()

    def set_keeps_keypoints(self, keeps: bool) -> None:
        """Choose whether an index run finds the keypoints of every image."""
        with self.session() as session:
            session.execute(update(SpecRow).values(keypoints=keeps))
            session.commit()

    def set_index_type(self, index_type: str) -> None:
        """Choose how vectors are to be searched."""
        with self.session() as session:
            session.execute(update(SpecRow).values(index_type=index_type))
            session.commit()

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session; changes in it are undone unless it commits."""
        try:
            with self._sessions() as session:
                yield session
        except exc.DatabaseError as error:
            raise catalog_error(error.orig or error, self.path) from error

    @contextmanager
    def _moment(self) -> Iterator[Session]:
        """Open a session whose queries all see the same moment of the catalogue."""
        with self.session() as session:
            # sqlite3 opens no transaction for queries by itself
            session.connection().exec_driver_sql("BEGIN")
            yield session

    # --- schema -----------------------------------------------------------------------------------

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
        config.set_main_option("script_location", "indexer.store.catalog:migrations")
        try:
            with self.engine.begin() as connection:
                # sqlite3 opens no transaction for DDL by itself
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                config.attributes["connection"] = connection
                command.upgrade(config, SCHEMA_VERSIONS[-1])
        except exc.DatabaseError as error:
            raise catalog_error(error.orig or error, self.path) from error

    def _read_version(self) -> str | None:
        query = "SELECT version_num FROM alembic_version"
        try:
            with self.engine.connect() as connection:
                return connection.exec_driver_sql(query).scalar()
        except exc.OperationalError as error:
            if "no such table" in str(error.orig):
                return None
            raise catalog_error(error.orig or error, self.path) from error
        except exc.DatabaseError as error:
            raise catalog_error(error.orig or error, self.path) from error


def _image_fields() -> Any:
    columns = (
        ImageRow.id,
        RootRow.path.label("root"),
        ImageRow.path,
        ImageRow.width,
        ImageRow.height,
        ImageRow.taken_at,
        ImageRow.camera,
    )
    return select(*columns).join_from(ImageRow, RootRow, RootRow.id == ImageRow.root_id)


def _ivf_entry(row: IvfRow) -> IvfEntry:
    return IvfEntry(
        row.id, row.kind, row.index_type, row.rows, row.trained_rows, row.nprobe, row.recall
    )


def _parts(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), IDS_A_STATEMENT):
        yield ids[start : start + IDS_A_STATEMENT]


def _configure(connection: sqlite3.Connection, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()
