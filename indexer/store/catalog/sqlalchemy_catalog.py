"""SqlAlchemyCatalog: the catalogue read and written through SQLAlchemy."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, exc, inspect, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from indexer.errors import StoreCorruptError, StoreVersionError
from indexer.images.facts import ImageFacts
from indexer.images.page_paths import PAGE
from indexer.store.catalog.checksums import write_all_checksums, write_state
from indexer.store.catalog.database import Database
from indexer.store.catalog.paths import from_stored, to_stored
from indexer.store.catalog.questions import (
    ALL_IMAGES,
    AskWith,
    CatalogQuestions,
    parts_of,
    places,
)
from indexer.store.catalog.row_checksums import CHECKED, WARNINGS, are_sound
from indexer.store.catalog.schema import SCHEMA_VERSIONS
from indexer.store.catalog.sqlite_database import SqliteDatabase
from indexer.store.catalog.state import read_state
from indexer.store.catalog.statements import ask
from indexer.store.catalog.tables import ImageRow
from indexer.store.catalog.transaction import CatalogTransaction
from indexer.store.records import Entry, FileState, KnownFile

FIRST_WITH_CHECKSUMS = "0008"
COMMITS_BITS = 48  # of the number that commits are counted from


class SqlAlchemyCatalog(CatalogQuestions):
    """The catalogue in a database, or in the file of SQLite at a path, which is absolute.

    See `Catalog` for what reads it. `seals` says that this account trusts the store from its next
    commit on, see `trust`.
    """

    def __init__(self, place: Path | Database) -> None:
        self.database: Database = SqliteDatabase(place) if isinstance(place, Path) else place
        super().__init__(self.database.store)
        self.seals = False
        self._intact: dict[str, int] = {}

    @property
    def engine(self) -> Engine:
        """What connects to the database."""
        return self.database.engine

    # --- reading: `Catalog` -----------------------------------------------------------------------

    @contextmanager
    def moment(self) -> Iterator[AskWith]:
        with self.session() as session:
            connection = session.connection()
            self.database.begin(connection)
            yield lambda query, values: ask(connection, query, values)

    def close(self) -> None:
        self.engine.dispose()

    # --- reading: what an index run asks ----------------------------------------------------------

    def is_empty(self) -> bool:
        """Whether no image, readable or failed, is known."""
        with self.session() as session:
            return session.scalar(select(ImageRow.id).limit(1)) is None

    def known_files(
        self, files: Sequence[tuple[int, str]] | None = None
    ) -> dict[tuple[int, str], KnownFile]:
        """Return every image file, readable or failed, by (root id, path).

        With `files`, only what is known of these and their pages.
        """
        with self.moment() as ask:
            if files is None:
                rows = self.checked_images(ask(ALL_IMAGES, ()))
            else:
                rows = [row for file in files for row in self._images_in(ask, *file)]
        return {
            (row[1], from_stored(row[2])): KnownFile(
                row[0],
                FileState(row[1], from_stored(row[2]), *row[3:6], *row[13:15]),
                row[7],
                row[15],
            )
            for row in rows
        }

    def _images_in(self, ask: AskWith, root_id: int, path: str) -> list[Sequence[Any]]:
        """Return the rows of a file: its own, and those of its pages."""
        stored = to_stored(path)
        # A page has its number, so the paths of pages lie before that with the next character.
        first, end = stored + PAGE, stored + PAGE + chr(ord("9") + 1)
        own = ask(f"{ALL_IMAGES} WHERE root_id = ? AND path = ?", (root_id, stored))
        found = self.checked_images(own)
        where = "WHERE root_id = ? AND path > ? AND path < ?"
        return found + self.checked_images(ask(f"{ALL_IMAGES} {where}", (root_id, first, end)))

    def entries(self, ids: Sequence[int]) -> dict[int, Entry]:
        """Return all that is known of these images but their features, by id."""
        rows: list[Sequence[Any]] = []
        warnings: dict[int, tuple[str, ...]] = {}
        with self.moment() as ask:
            for part in parts_of(ids):
                found = ask(f"{ALL_IMAGES} WHERE id IN ({places(part)})", part)
                rows += self.checked_images(found)
                noted = ask(f"{WARNINGS.query} WHERE image_id IN ({places(part)})", part)
                for image_id, text, _ in self._sound(WARNINGS, noted):
                    warnings[image_id] = tuple(from_stored(text).split("\n"))
        try:
            return {row[0]: _to_entry(row, warnings.get(row[0], ())) for row in rows}
        except (TypeError, ValueError) as error:
            raise self.damaged("images") from error

    def require_intact(self, *tables: str) -> None:
        """Compare all rows of tables with their checksums, once a commit.

        For questions whose answer depends on rows that they do not return, such as filters.
        Raises `StoreCorruptError`.
        """
        with self.moment() as ask:
            commits = self._state_of(ask).commits
            for table in tables:
                if self._intact.get(table) == commits:
                    continue
                if table == "images":
                    self.checked_images(ask(ALL_IMAGES, ()))
                else:
                    [checked] = [known for known in CHECKED if known.name == table]
                    if not are_sound(ask(checked.query, ()), checked.types):
                        raise self.damaged(table)
                self._intact[table] = commits

    def faults(self) -> list[str]:
        """Return what the database itself finds wrong with the catalogue, a line each."""
        with self.session() as session:
            lines = self.database.faults(session.connection())
        return [f"{self.database.name}: {line}" for line in lines]

    # --- writing ----------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, *, repairs: bool = False) -> Iterator[CatalogTransaction]:
        """Open a transaction; it commits at the end, and an exception undoes it.

        A commit is sealed if the one before was, or if this account is to trust the store from now
        on. Raises `StoreCorruptError` where the catalogue is damaged, unless it `repairs` that.
        """
        with self.session(self.database.writer()) as session:
            connection = session.connection()
            self.database.begin_writing(connection)
            change = CatalogTransaction(session, self.database)
            commits, is_sealed = self._read_commits(connection, repairs=repairs)
            yield change
            session.flush()
            write_state(connection, commits + 1, seals=is_sealed or self.seals)
            session.commit()

    def _read_commits(self, connection: Connection, *, repairs: bool) -> tuple[int, bool]:
        try:
            state = read_state(lambda query: ask(connection, query), str(self.store))
        except StoreCorruptError:
            if not repairs:
                raise
            return secrets.randbits(COMMITS_BITS), False
        return state.commits, state.is_sealed

    def write_spec(self, json: str, fingerprint: str) -> None:
        """Write the spec of a new catalogue."""
        with self.transaction() as change:
            change.add_spec(json, fingerprint)

    def checkpoint(self) -> None:
        """Bring all commits to where a copy of the store finds them."""
        with self._explaining_errors():
            self.database.checkpoint()

    @contextmanager
    def session(self, bind: Engine | Connection | None = None) -> Iterator[Session]:
        """Open a session; changes in it are undone unless it commits."""
        with (
            self._explaining_errors(),
            Session(self.engine if bind is None else bind, expire_on_commit=False) as session,
        ):
            yield session

    @contextmanager
    def _explaining_errors(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            raise self.database.error(error) from error
        except UnicodeDecodeError as error:  # of a damaged text, or in SQLite's words about one
            raise self.damaged("texts") from error

    # --- schema -----------------------------------------------------------------------------------

    def create(self) -> None:
        """Create the tables of a new catalogue."""
        self._upgrade(is_new=True)

    def migrate(self) -> None:
        """Bring an older catalogue up to date.

        Raises `StoreVersionError` for a newer one, and `StoreCorruptError` for a file that is no
        catalogue of cbir.
        """
        version = self._read_version()
        if version is None:
            raise StoreCorruptError(
                f"The catalogue {self.database.place} is empty, or another program made it. "
                "Restore it from a backup, or rebuild the store with cbir index --rebuild."
            )
        if version not in SCHEMA_VERSIONS:
            raise StoreVersionError(
                f"The store at {self.store} has schema version {version}; this cbir knows "
                f"versions up to {SCHEMA_VERSIONS[-1]}. Upgrade cbir to open it."
            )
        if version != SCHEMA_VERSIONS[-1]:
            self._upgrade(is_new=False, has_checksums=version >= FIRST_WITH_CHECKSUMS)

    def _upgrade(self, *, is_new: bool, has_checksums: bool = False) -> None:
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", f"{__spec__.parent}:migrations")
        with self._explaining_errors(), self.engine.begin() as connection:
            self.database.begin_upgrade(connection, is_new=is_new)
            config.attributes["connection"] = connection
            command.upgrade(config, SCHEMA_VERSIONS[-1])
            if not has_checksums:  # those that are there are kept: they tell of damage
                write_all_checksums(connection)
                write_state(connection, secrets.randbits(COMMITS_BITS), seals=is_new)

    def _read_version(self) -> str | None:
        query = "SELECT version_num FROM alembic_version"
        with self._explaining_errors(), self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.exec_driver_sql(query).scalar()


def _to_entry(row: Sequence[Any], warnings: tuple[str, ...]) -> Entry:
    """Return the entry of a row of `IMAGE_COLUMNS`; raises `TypeError` and `ValueError`."""
    width, height, format_, taken_at, camera = row[8:13]
    facts = None
    if width is not None:
        taken = None if taken_at is None else dt.datetime.fromisoformat(taken_at)
        facts = ImageFacts(int(width), int(height), format_, taken, camera)
    return Entry(
        FileState(row[1], from_stored(row[2]), *row[3:6], *row[13:15]),
        facts,
        reason=row[7],
        pages=row[15],
        is_blank=row[6] == "blank",
        warnings=warnings,
    )
