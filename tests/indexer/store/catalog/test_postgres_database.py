"""What is PostgreSQL's own: errors and what to do about them, texts, and names of places."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from indexer.errors import StoreCorruptError, StoreError
from indexer.store.catalog.postgres_database import PostgresDatabase, parse_url
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.records import Entry, FileState
from tests.catalogs import roots_of
from tests.postgres import DATABASE, PASSWORD, Server


def opened(url: str, folder: Path, schema: str) -> SqlAlchemyCatalog:
    return SqlAlchemyCatalog(PostgresDatabase(url, schema, folder))


@pytest.fixture
def catalog(postgres: Server, tmp_path: Path) -> Iterator[SqlAlchemyCatalog]:
    made = opened(postgres.url, tmp_path, f"cbir_{uuid4().hex[:8]}")
    made.create()
    yield made
    made.close()


@pytest.mark.usefixtures("postgres")  # so that there is a driver
@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://me:secret@host/d", "d on host"),
        ("postgres://me:secret@host:5433/d", "d on host:5433"),
        ("postgresql:///d?host=/run/postgresql", "d on /run/postgresql"),
        ("postgresql:///d", "d on this machine"),
    ],
)
def test_a_place_is_named_without_its_secrets(tmp_path: Path, url: str, place: str) -> None:
    database = PostgresDatabase(url, "s", tmp_path)
    assert database.place == f"the PostgreSQL database {place}"


@pytest.mark.parametrize(
    "url", ["", "x", "postgresql://me:secret@h:x/d", "sqlite:///secret", "postgresql://h/d\x7f"]
)
def test_a_url_that_is_none_is_not_repeated(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError, match="postgresql://user:password@host/database") as caught:
        parse_url(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_a_database_of_other_texts_is_refused(postgres: Server, tmp_path: Path) -> None:
    postgres.run_sql(
        "postgres",
        "CREATE DATABASE ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'",
    )
    catalog = opened(postgres.url_of(PASSWORD, "ascii"), tmp_path, "s")
    with pytest.raises(StoreError, match=r"SQL_ASCII.*createdb --encoding UTF8"):
        catalog.create()
    assert not catalog.database.exists()
    catalog.close()


def test_a_user_without_rights_is_told_which(postgres: Server, tmp_path: Path) -> None:
    postgres.run_sql("postgres", f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    guest = opened(postgres.url.replace("cbir:", "guest:"), tmp_path, "guests")
    with pytest.raises(StoreError, match=r"permission denied.*right to create schemas"):
        guest.create()
    postgres.run_sql(DATABASE, f"GRANT CREATE ON DATABASE {DATABASE} TO guest")
    guest.create()
    assert roots_of(guest) == {}
    guest.close()


def test_a_server_that_is_only_read(postgres: Server, catalog: SqlAlchemyCatalog) -> None:
    postgres.run_sql(DATABASE, f"ALTER DATABASE {DATABASE} SET default_transaction_read_only TO on")
    catalog.close()
    try:
        with (
            pytest.raises(StoreError, match="read-only transaction"),
            catalog.transaction() as change,
        ):
            change.add_root("a")
        assert roots_of(catalog) == {}
    finally:
        reset = f"ALTER DATABASE {DATABASE} RESET default_transaction_read_only"
        postgres.run_sql(DATABASE, "SET default_transaction_read_only TO off", reset)


def test_a_schema_that_is_gone(postgres: Server, catalog: SqlAlchemyCatalog) -> None:
    assert isinstance(catalog.database, PostgresDatabase)
    assert catalog.database.exists()
    postgres.run_sql(DATABASE, f"DROP SCHEMA {catalog.database.schema} CASCADE")
    assert not catalog.database.exists()
    with pytest.raises(StoreCorruptError, match=r"does not exist.*cbir doctor --repair"):
        catalog.state()
    with pytest.raises(StoreCorruptError, match="empty, or another program made it"):
        catalog.migrate()


def test_a_reason_may_hold_what_a_text_may_not(catalog: SqlAlchemyCatalog) -> None:
    with catalog.transaction() as change:
        root = change.add_root("photos")
        file = FileState(root, "a.jpg", 1, 1, bytes(32))
        change.add_images([Entry(file, reason="bad tag \0\udce9 of a decoder")])
    [row] = catalog.known_files().values()
    assert row.reason == "bad tag ␀\U0010ffe9 of a decoder"


def test_large_numbers(catalog: SqlAlchemyCatalog) -> None:
    file = FileState(1, "a.jpg", 2**40, 2**62, bytes(32), 2**62, 2**63 - 1)
    with catalog.transaction() as change:
        assert change.add_root("photos") == 1
        change.add_images([Entry(file, reason="large")])
    assert [row.file for row in catalog.known_files().values()] == [file]


def test_without_its_driver_the_remedy_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match=r"pip install 'cbir\[postgresql\]'"):
        PostgresDatabase("postgresql://h/d", "s", tmp_path)


def test_a_restarted_server_is_connected_to_again(
    postgres: Server, catalog: SqlAlchemyCatalog
) -> None:
    assert roots_of(catalog) == {}
    postgres.stop()
    postgres.start()
    assert roots_of(catalog) == {}
