"""Database: where a catalogue is kept, and what differs between SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, exc
from sqlalchemy.engine import Engine

from indexer.errors import StoreError
from indexer.sources.place import Place


class Database(Protocol):
    """The database of the catalogue of the store in the folder `store`.

    `name` is what a person calls the kind of database, and `place` names this one in messages.
    """

    name: str
    place: str
    store: Path
    engine: Engine

    def exists(self) -> bool:
        """Whether there is a catalogue, be it damaged; raises `StoreError`."""

    def begin(self, connection: Connection) -> None:
        """Begin a transaction: all that is read in it is of one moment."""

    def begin_writing(self, connection: Connection) -> None:
        """Begin a transaction that writes, once no other one is writing."""

    def begin_upgrade(self, connection: Connection, *, is_new: bool) -> None:
        """Begin a transaction that makes tables, or changes them while nobody else does."""

    def writer(self) -> Engine | Connection:
        """Return what writes: what holds the writer's lock, if this object does.

        Raises `StoreError` where the lock was lost with its connection.
        """

    def locked(self, places: Sequence[Place] | None = None) -> AbstractContextManager[None]:
        """Hold the writer's lock; raises `StoreLockedError`, and `StoreError`.

        With `places`, others may hold theirs for other places, neither in these nor above them, at
        the same time, if the database can tell them apart.
        """

    def alone(self) -> AbstractContextManager[bool]:
        """Keep others from writing while the lock of places is held; yields whether none does."""

    def last_id(self, connection: Connection, table: str) -> int:
        """Return the highest id ever given in a table, also to rows that were removed."""

    def keep_last_id(self, connection: Connection, table: str, last: int) -> None:
        """Note that ids up to this one were given in a table."""

    def faults(self, connection: Connection) -> list[str]:
        """Return what the database itself finds wrong with the catalogue, a line each."""

    def checkpoint(self) -> None:
        """Bring all commits to where a copy of the store finds them."""

    def error(self, error: exc.DBAPIError) -> StoreError:
        """Return what an error of the driver means for the user."""

    def set_aside(self) -> None:
        """Rename the catalogue, so that another one can take its place."""

    def drop(self) -> None:
        """Delete what of the catalogue is not in the folder of the store."""
