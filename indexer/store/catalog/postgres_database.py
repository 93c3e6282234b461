"""PostgresDatabase: a catalogue in a schema of its own of a PostgreSQL database."""

from __future__ import annotations

import hashlib
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, exc, inspect, make_url, text
from sqlalchemy.engine import URL, Engine

from indexer.errors import StoreCorruptError, StoreError, StoreLockedError
from indexer.sources.place import Place
from indexer.store.catalog.tables import Base, SpecRow

DRIVERS = ("postgresql", "postgres")
# What the URL may say otherwise: a server that is gone is noticed within a minute.
CONNECT: dict[str, str | int] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
SESSION = {  # so that the lock of a machine that is gone does not stay for hours
    "tcp_keepalives_idle": 60,
    "tcp_keepalives_interval": 10,
    "tcp_keepalives_count": 3,
}
CLEANED_S = 10.0  # until another writer has deleted what is left over
GONE_S = 1.0  # until the server notices that the process which had the lock was killed
UNREACHABLE = ("08", "28", "3D", "57P")  # connections, passwords, databases, a stopping server
MISSING = ("42P01", "42703", "3F000")  # a table, a column, a schema
DAMAGED = ("XX001", "XX002")
FORBIDDEN = ("42501", "25006")  # no right to do it; a server that is only read


class PostgresDatabase:
    """The schema `schema` of the database at `url`; see `Database`.

    The user and the password of the URL are in no message. The writer's lock is an advisory lock
    of the connection that writes: it ends with that connection, and so do the writes. Writers for
    places share the store's lock, and each folder's above their places.
    """

    name = "PostgreSQL"

    def __init__(self, url: str, schema: str, store: Path) -> None:
        parsed = parse_url(url, store)
        self.schema = schema
        self.store = store
        self.place = _place(parsed)
        self._writer: Connection | None = None
        self.engine: Engine = _engine(parsed, schema)
        weakref.finalize(self, self.engine.dispose)  # psycopg warns of what nobody closes

    def exists(self) -> bool:
        try:
            return inspect(self.engine).has_schema(self.schema)
        except exc.DBAPIError as error:
            raise self.error(error) from error

    def begin(self, connection: Connection) -> None:
        """Do nothing: every statement opens a transaction."""

    def begin_writing(self, connection: Connection) -> None:
        # Before anything is read: the state of a transaction is that of its first query.
        connection.exec_driver_sql(f"LOCK TABLE {SpecRow.__tablename__} IN EXCLUSIVE MODE")

    def begin_upgrade(self, connection: Connection, *, is_new: bool) -> None:
        if is_new:
            _require_utf8(connection, self.place)
            connection.exec_driver_sql(f'CREATE SCHEMA "{self.schema}"')
        else:
            connection.exec_driver_sql("LOCK TABLE alembic_version IN ACCESS EXCLUSIVE MODE")

    def writer(self) -> Engine | Connection:
        if self._writer is None:
            return self.engine
        if self._writer.invalidated:
            raise self._lost("the connection that held the writer's lock is gone")
        return self._writer

    @contextmanager
    def locked(self, places: Sequence[Place] | None = None) -> Iterator[None]:
        try:
            connection = self.engine.connect()
        except exc.DBAPIError as error:
            raise self.error(error) from error
        with connection:
            try:
                self._lock(connection, places)
                self._writer = connection
                yield
            finally:
                self._writer = None
                self._unlock_all(connection)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        writer = self.writer()
        if not isinstance(writer, Connection):
            raise RuntimeError("the writer's lock is not held")
        is_alone = self._ask(writer, "SELECT pg_try_advisory_lock(:key)", self._key())
        try:
            yield is_alone
        finally:
            if is_alone and not writer.invalidated:
                self._ask(writer, "SELECT pg_advisory_unlock(:key)", self._key())

    def _lock(self, connection: Connection, places: Sequence[Place] | None) -> None:
        if places is None:
            self._wait_for(connection, self._key(), f"is writing to {self.store}")
            return
        doing = f"changes all of {self.store}"
        self._wait_for(connection, self._key(), doing, CLEANED_S, shares=True)
        for place in places:
            doing = f"is indexing {place}, a folder in it or one above it, into {self.store}"
            for folder in place.parents:
                self._wait_for(connection, self._key(folder), doing, shares=True)
            self._wait_for(connection, self._key(place), doing)

    def _key(self, place: Place | None = None) -> int:
        """Return the number of the lock of the store, or of a folder in it."""
        name = self.schema if place is None else f"{self.schema}\0{place}"
        digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], signed=True)

    def _wait_for(
        self,
        connection: Connection,
        key: int,
        doing: str,
        seconds: float | None = None,
        *,
        shares: bool = False,
    ) -> None:
        deadline = time.monotonic() + (GONE_S if seconds is None else seconds)
        query = f"SELECT pg_try_advisory_lock{'_shared' if shares else ''}(:key)"
        while not self._ask(connection, query, key):
            if time.monotonic() > deadline:
                raise StoreLockedError(
                    f"Another process, perhaps on another machine, {doing}. Wait for it to end, "
                    "and try again."
                )
            time.sleep(GONE_S / 10)

    def _unlock_all(self, connection: Connection) -> None:
        if connection.invalidated:
            return
        try:
            self._ask(connection, "SELECT true FROM (SELECT pg_advisory_unlock_all()) AS unlocked")
        except StoreError:
            connection.invalidate()  # or the next user of the connection would have the locks

    def _ask(self, connection: Connection, query: str, key: int | None = None) -> bool:
        try:
            answer = connection.execute(text(query), {} if key is None else {"key": key})
            is_so = bool(answer.scalar())
            connection.commit()
        except exc.DBAPIError as error:
            raise self.error(error) from error
        return is_so

    def last_id(self, connection: Connection, table: str) -> int:
        query = f"SELECT last_value, is_called FROM {table}_id_seq"
        last, is_called = connection.exec_driver_sql(query).one()
        return int(last) if is_called else 0

    def keep_last_id(self, connection: Connection, table: str, last: int) -> None:
        connection.execute(text(f"SELECT setval('{table}_id_seq', :last)"), {"last": last})

    def faults(self, connection: Connection) -> list[str]:
        there = set(inspect(connection).get_table_names())
        return [f"table {name} is missing" for name in sorted({*Base.metadata.tables} - there)]

    def checkpoint(self) -> None:
        """Do nothing: a commit is where all find it."""

    def error(self, error: exc.DBAPIError) -> StoreError:
        state, reason = getattr(error.orig, "sqlstate", None), _first_line(error)
        if state in MISSING or state in DAMAGED:
            return StoreCorruptError(
                f"The catalogue of the store at {self.store}, in {self.place}, is damaged "
                f"({reason}). Restore the schema {self.schema} from a backup, or make the store "
                f"again with: cbir doctor --repair --store {self.store}"
            )
        if state in FORBIDDEN:
            return StoreError(
                f"{self.place} refuses it ({reason}). Give the user that the store at "
                f"{self.store} names the right to create schemas in the database, and to write."
            )
        if isinstance(error, exc.OperationalError | exc.InterfaceError) and (
            state is None or state.startswith(UNREACHABLE)
        ):
            return self._lost(reason)
        return StoreError(
            f"The catalogue of the store at {self.store}, in {self.place}, cannot be used: "
            f"{reason}."
        )

    def set_aside(self) -> None:
        aside = f"{self.schema}_damaged"
        with self._changing() as connection:
            connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{aside}" CASCADE')
            if inspect(connection).has_schema(self.schema):
                connection.exec_driver_sql(f'ALTER SCHEMA "{self.schema}" RENAME TO "{aside}"')

    def drop(self) -> None:
        with self._changing() as connection:
            for schema in (self.schema, f"{self.schema}_damaged"):
                connection.exec_driver_sql(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        try:
            with self.engine.begin() as connection:
                yield connection
        except exc.DBAPIError as error:
            raise self.error(error) from error

    def _lost(self, reason: str) -> StoreError:
        return StoreError(
            f"The catalogue of the store at {self.store} is in {self.place}, which cannot be "
            f"reached ({reason}). Check that the server runs, and the database, the user and the "
            f"password in {self.store / 'cbir.toml'}; then run it again."
        )


def parse_url(url: str, store: Path) -> URL:
    """Return the URL of a database; raises `StoreError`, which does not repeat it."""
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        parsed = None
    is_ours = parsed is not None and parsed.drivername in DRIVERS and parsed.database
    if parsed is None or not is_ours or not url.isprintable():
        raise StoreError(
            f"The catalogue of the store at {store} is no URL such as "
            "postgresql://user:password@host/database."
        )
    return parsed.set(drivername="postgresql+psycopg")


def _engine(url: URL, schema: str) -> Engine:
    chosen = {name: value for name, value in CONNECT.items() if name not in url.query}
    chosen["client_encoding"] = "utf8"

    def configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for name, value in SESSION.items():
            cursor.execute(f"SET {name} TO {value}")
        cursor.execute(f'SET search_path TO "{schema}"')
        cursor.close()
        connection.commit()

    try:
        engine = create_engine(
            url, isolation_level="REPEATABLE READ", pool_pre_ping=True, connect_args=chosen
        )
        event.listen(engine, "connect", configure)
        return engine
    except ModuleNotFoundError as error:
        raise StoreError(
            "A catalogue in PostgreSQL needs psycopg: pip install 'cbir[postgresql]'"
        ) from error


def _place(url: URL) -> str:
    host = url.host or url.query.get("host") or "this machine"
    port = f":{url.port}" if url.port else ""
    return f"the PostgreSQL database {url.database} on {host}{port}"


def _require_utf8(connection: Connection, place: str) -> None:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise StoreError(
            f"In {place}, texts are {encoding}; names of photos need UTF8. Make a database with: "
            "createdb --encoding UTF8 --template template0 NAME"
        )


def _first_line(error: exc.DBAPIError) -> str:
    text = str(error.orig).strip() or type(error.orig).__name__
    return " ".join(text.splitlines()[0].split()).rstrip(".")
