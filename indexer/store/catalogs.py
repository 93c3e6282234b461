"""Where the catalogue of a store is: in a file of the store, or in a database that it names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.errors import StoreCorruptError, StoreError, UntrustedStoreError
from indexer.store.catalog.protocol import Catalog
from indexer.store.catalog.sqlite_reader import SqliteReader
from indexer.store.config import StoreConfig
from indexer.store.layout import CATALOG, CONFIG
from indexer.store.trust import trusts_all

if TYPE_CHECKING:  # most queries need no SQLAlchemy, which takes long to import
    from indexer.store.catalog.database import Database
    from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog


def create_database(store: Path, url: str | None) -> Database:
    """Return the database for the catalogue of a new store: SQLite's, or the one at `url`.

    A store that names one already keeps it, see `StoreConfig`. Raises `StoreError` for another one,
    and where the store has a catalogue.
    """
    if url is not None:
        from indexer.store.catalog.postgres_database import parse_url

        parse_url(url, store)  # before it is written
        (require_same(store, url) or StoreConfig.create(url)).write(store)
    database = open_database(store)
    try:
        if database.exists():
            raise StoreError(f"There is a store at {store} already.")
    finally:
        database.engine.dispose()
    return database


def catalog_url(store: Path) -> str | None:
    """Return the URL of the database that a store names for its catalogue, if any."""
    config = StoreConfig.read(store)
    return None if config is None else config.catalog


@contextmanager
def undoing_config(store: Path, url: str | None) -> Iterator[None]:
    """Delete the configuration again that `create_database` wrote for a URL, upon an error.

    So a database that cannot be used does not bind the next attempt to it.
    """
    is_new = url is not None and not (store / CONFIG).exists()
    try:
        yield
    except StoreError:
        if is_new:
            StoreConfig.delete(store)
        raise


def require_same(store: Path, url: str) -> StoreConfig | None:
    """Return the configuration of a store, if any; raises `StoreError` for another database."""
    config = StoreConfig.read(store)
    if config is None and (store / CATALOG).is_file():
        raise StoreError(
            f"The catalogue of the store at {store} is the file {CATALOG}. To keep it in "
            "PostgreSQL, build the store again with: cbir index --rebuild --catalog URL"
        )
    if config is not None and config.catalog != url:
        raise StoreError(
            f"The store at {store} names another database for its catalogue, in {CONFIG}. To move "
            "to this one, build the store again with: cbir index --rebuild --catalog URL"
        )
    return config


def open_database(store: Path, *, trusts: bool = False) -> Database:
    """Return the database of the catalogue of the store; it is not connected to yet.

    Raises `StoreError`, and `UntrustedStoreError` where somebody else chose it and the caller does
    not trust the store.
    """
    config = StoreConfig.read(store)
    if config is None:
        from indexer.store.catalog.sqlite_database import SqliteDatabase

        return SqliteDatabase((store / CATALOG).resolve())
    if not (config.is_sealed or trusts or trusts_all()):
        raise UntrustedStoreError(
            f"Another account or machine wrote {store / CONFIG}, or somebody changed it, and it "
            "names the database to connect to. If you trust it, add --trust."
        )
    from indexer.store.catalog.postgres_database import PostgresDatabase

    return PostgresDatabase(config.catalog, config.schema, store.resolve())


def open_reader(store: Path, *, trusts: bool = False) -> Catalog:
    """Return what reads the catalogue of the store, which is brought up to date.

    Raises what `SqlAlchemyCatalog.migrate` and `open_database` do.
    """
    if StoreConfig.read(store) is not None:
        return _migrated(store, trusts=trusts)
    file = (store / CATALOG).resolve()
    if not file.is_file():
        raise StoreCorruptError(
            f"The catalogue of the store at {store} is missing. Make the store again from its "
            f"photos with: cbir doctor --repair --store {store}"
        )
    reader = SqliteReader(file)
    if not reader.is_current():
        _migrated(store, trusts=trusts).close()  # it raises for anything but an older one
    return reader


def _migrated(store: Path, *, trusts: bool) -> SqlAlchemyCatalog:
    from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog

    catalog = SqlAlchemyCatalog(open_database(store, trusts=trusts))
    try:
        catalog.migrate()
    except StoreError:
        catalog.close()
        raise
    return catalog


def seal_config(store: Path) -> None:
    """Seal the configuration of a store that is trusted, if it has one, on behalf of a writer."""
    config = StoreConfig.read(store)
    if config is not None and not config.is_sealed:
        config.write(store)
