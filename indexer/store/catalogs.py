"""Where the catalogue of a store is: in a file of the store, or in a database that it names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from indexer.errors import StoreCorruptError, StoreError
from indexer.store.catalog.protocol import Catalog
from indexer.store.catalog.sqlite_reader import SqliteReader
from indexer.store.config import StoreConfig
from indexer.store.layout import CATALOG, CONFIG, require_own_files

if TYPE_CHECKING:  # most queries need no SQLAlchemy, which takes long to import
    from indexer.store.catalog.database import Database
    from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog


def create_database(store: Path, url: str | None, vectors: str | None = None) -> Database:
    """Return the database for the catalogue of a new store: SQLite's, or the one at `url`.

    `vectors` is the URL of the server for its vectors, if any. A store that names servers already
    keeps them, see `StoreConfig`. Raises `StoreError` for others, and where the store has a
    catalogue.
    """
    if url is not None:
        from indexer.store.catalog.postgres_database import parse_url

        parse_url(url, store)  # before it is written
    if url is not None or vectors is not None:
        (require_same(store, url, vectors) or StoreConfig.create(url, vectors)).write(store)
    database = open_database(store)
    try:
        if database.exists():
            raise StoreError(f"There is a store at {store} already.")
    finally:
        database.engine.dispose()
    return database


def server_urls(store: Path) -> tuple[str | None, str | None]:
    """Return the URLs of the servers that a store names for its catalogue and its vectors."""
    config = StoreConfig.read(store)
    return (None, None) if config is None else (config.catalog, config.vectors)


@contextmanager
def undoing_config(store: Path, *urls: str | None) -> Iterator[None]:
    """Delete the configuration again that `create_database` wrote for URLs, upon an error.

    So a server that cannot be used does not bind the next attempt to it.
    """
    is_new = any(url is not None for url in urls) and not (store / CONFIG).exists()
    try:
        yield
    except StoreError:
        if is_new:
            StoreConfig.delete(store)
        raise


def require_same(store: Path, url: str | None, vectors: str | None = None) -> StoreConfig | None:
    """Return the configuration of a store, if any.

    Raises `StoreError` where the URL of the catalogue, or of the vectors, is given and another one
    than the store's.
    """
    config = StoreConfig.read(store)
    if config is None and not (store / CATALOG).is_file():
        return None
    own = (None, None) if config is None else (config.catalog, config.vectors)
    for given, known, what, in_files, option in (
        (url, own[0], "catalogue of the store at {} is", f"the file {CATALOG}", "--catalog"),
        (vectors, own[1], "vectors of the store at {} are", "files", "--vectors"),
    ):
        if given is not None and given != known:
            place = in_files if known is None else f"in another database, which {CONFIG} names"
            raise StoreError(
                f"The {what.format(store)} {place}. To move to this one, build the store again "
                f"with: cbir index --rebuild {option} URL"
            )
    return config


def open_database(store: Path, *, trusts: bool = False) -> Database:
    """Return the database of the catalogue of the store; it is not connected to yet.

    Raises `StoreError`, and `UntrustedStoreError` where somebody else chose it and the caller does
    not trust the store.
    """
    config = StoreConfig.read(store)
    if config is None or config.catalog is None:
        from indexer.store.catalog.sqlite_database import SqliteDatabase

        return SqliteDatabase((store / CATALOG).resolve())
    config.require_trusted(store, trusts=trusts)
    from indexer.store.catalog.postgres_database import PostgresDatabase

    return PostgresDatabase(config.catalog, config.schema, store.resolve())


def open_reader(store: Path, *, trusts: bool = False) -> Catalog:
    """Return what reads the catalogue of the store, which is brought up to date.

    Raises what `SqlAlchemyCatalog.migrate` and `open_database` do.
    """
    if server_urls(store)[0] is not None:
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


@contextmanager
def locked(path: Path) -> Iterator[Database]:
    """Hold the lock of the store at `path`; yields where its catalogue is.

    Raises `StoreLockedError`.
    """
    require_own_files(path)
    database = open_database(path)
    try:
        with database.locked():
            yield database
    finally:
        database.engine.dispose()
