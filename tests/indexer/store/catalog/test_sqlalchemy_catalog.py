from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from alembic import command
from alembic.config import Config
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect
from sqlalchemy.dialects import sqlite

from indexer.errors import StoreCorruptError, StoreError, StoreVersionError
from indexer.store.catalog.column_types import PathText
from indexer.store.catalog.paths import from_stored, to_stored
from indexer.store.catalog.schema import SCHEMA_VERSIONS
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.catalog.tables import Base, RootRow
from indexer.store.records import Entry, FileState
from tests.catalogs import Place, place_of, roots_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return place_of(request.param, request, tmp_path)


@pytest.fixture
def catalog(place: Place) -> Iterator[SqlAlchemyCatalog]:
    made = place.writer()
    made.create()
    yield made
    made.close()


def run_sql(file: Path, *statements: str) -> None:
    connection = sqlite3.connect(file)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def read_roots(catalog: SqlAlchemyCatalog) -> None:
    catalog.create()
    with catalog.session() as session:
        session.query(RootRow).all()


def test_a_fresh_catalogue_has_the_tables_of_the_models(catalog: SqlAlchemyCatalog) -> None:
    inspector = inspect(catalog.engine)
    assert set(inspector.get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    for name, table in Base.metadata.tables.items():
        columns = {c["name"]: c["nullable"] for c in inspector.get_columns(name)}
        assert columns == {c.name: bool(c.nullable) for c in table.columns}


def test_preparing_again_changes_nothing(file: Path) -> None:
    for _ in range(2):
        catalog = SqlAlchemyCatalog(file)
        catalog.create()
        with catalog.session() as session:
            session.add(RootRow(path=f"photos {len(session.query(RootRow).all())}"))
            session.commit()
        catalog.close()
    connection = sqlite3.connect(file)
    assert connection.execute("SELECT count(*) FROM roots").fetchone() == (2,)
    versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    assert versions == [(SCHEMA_VERSIONS[-1],)]
    connection.close()


def test_what_is_not_committed_is_undone(catalog: SqlAlchemyCatalog) -> None:
    with catalog.session() as session:
        session.add(RootRow(path="a"))
        session.flush()
    assert roots_of(catalog) == {}


def add_and_fail(catalog: SqlAlchemyCatalog) -> None:
    with catalog.transaction() as change:
        change.add_root("b")
        raise KeyboardInterrupt


def test_a_transaction_commits_at_its_end_and_an_exception_undoes_it(
    catalog: SqlAlchemyCatalog,
) -> None:
    with catalog.transaction() as change:
        change.add_root("a")
        assert roots_of(catalog) == {}
    with pytest.raises(KeyboardInterrupt):
        add_and_fail(catalog)
    assert roots_of(catalog) == {1: "a"}


def test_ids_of_images_and_regions_are_never_used_again(catalog: SqlAlchemyCatalog) -> None:
    with catalog.transaction() as change:
        root = change.add_root("photos")
    for first in (1, 3):
        with catalog.transaction() as change:
            entries = [Entry(FileState(root, name, 1, 1, bytes(32))) for name in "ab"]
            images = change.add_images(entries)
            assert images == [first, first + 1]
            boxes = np.array([[0, 0, 1, 1], [1, 1, 2, 2]])
            assert change.add_regions(np.array(images), boxes).tolist() == images
        with catalog.transaction() as change:
            change.remove_images(images)
        assert catalog.is_empty()
        assert catalog.boxes(images).tolist() == [[0] * 4, [0] * 4]
    with catalog.transaction() as change:
        assert sorted(change.removed_images().tolist()) == [1, 2, 3, 4]
        change.remove_images([4, 5])  # may be repeated
        assert sorted(change.removed_images().tolist()) == [1, 2, 3, 4, 5]


# The last characters of the private use area stand for bytes that are not UTF-8.
@given(
    (
        st.binary(min_size=1, max_size=30)
        | st.text(st.characters(min_codepoint=0x10FF00), min_size=1).map(str.encode)
    ).filter(lambda name: b"\0" not in name)
)
def test_any_file_name_can_be_stored_and_comes_back(name: bytes) -> None:
    kind, dialect = PathText(), sqlite.dialect()
    path = os.fsdecode(name)
    stored = kind.process_bind_param(path, dialect)
    assert stored is not None
    stored.encode("utf-8")  # SQLite can take it
    assert kind.process_result_value(stored, dialect) == path
    assert (to_stored(path), from_stored(stored)) == (stored, path)


def test_odd_names_through_the_database(catalog: SqlAlchemyCatalog) -> None:
    names = [os.fsdecode(b"caf\xe9"), "写真", "a'b\"c", "line\nbreak", "café"]
    with catalog.session() as session:
        session.add_all(RootRow(path=name) for name in names)
        session.commit()
    with catalog.session() as session:
        assert {row.path for row in session.query(RootRow)} == set(names)


def test_a_newer_schema_is_refused(place: Place, catalog: SqlAlchemyCatalog) -> None:
    catalog.migrate()
    place.run_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreVersionError, match=r"9999.*Upgrade cbir"):
        catalog.migrate()


def test_an_older_schema_is_brought_up_to_date(place: Place) -> None:
    older = place.writer()
    config = Config()
    config.set_main_option("script_location", "indexer.store.catalog:migrations")
    with older.engine.begin() as connection:
        older.database.begin_upgrade(connection, is_new=True)
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
    place.run_sql("INSERT INTO roots (path) VALUES ('photos')")
    older.migrate()
    assert roots_of(older) == {1: "photos"}
    older.close()


@pytest.mark.parametrize("content", [b"", b"of another program"])
def test_what_is_no_catalogue_is_not_made_one(file: Path, content: bytes) -> None:
    if content:
        run_sql(file, "CREATE TABLE bookmarks (url TEXT)")
    else:
        file.write_bytes(b"")
    with pytest.raises(StoreCorruptError, match="empty, or another program made it"):
        SqlAlchemyCatalog(file).migrate()
    connection = sqlite3.connect(file)
    tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()
    assert tables == ([("bookmarks",)] if content else [])


def test_a_file_that_is_no_database(file: Path) -> None:
    file.write_bytes(b"This is not a database. " * 100)
    with pytest.raises(StoreCorruptError, match=r"catalog\.sqlite"):
        SqlAlchemyCatalog(file).create()


def test_a_database_with_damaged_pages(file: Path) -> None:
    catalog = SqlAlchemyCatalog(file)
    catalog.create()
    with catalog.session() as session:
        session.add_all(RootRow(path=f"folder {i}" * 20) for i in range(500))
        session.commit()
    run_sql(file, "PRAGMA user_version = 1")
    catalog.close()
    content = bytearray(file.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 512] = b"\xa5" * 512
    file.write_bytes(content)

    damaged = SqlAlchemyCatalog(file)
    with pytest.raises(StoreError, match=r"catalog\.sqlite"):
        read_roots(damaged)
    damaged.close()


def test_a_truncated_database(file: Path) -> None:
    catalog = SqlAlchemyCatalog(file)
    catalog.create()
    catalog.close()
    file.write_bytes(file.read_bytes()[:6000])
    damaged = SqlAlchemyCatalog(file)
    with pytest.raises(StoreError, match=r"catalog\.sqlite"):
        read_roots(damaged)
    damaged.close()


@pytest.mark.parametrize("name", ["what?mode=ro", "50%25 off", "a#b", "größe", "two words"])
def test_folders_with_odd_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    file = tmp_path / name / "catalog.sqlite"
    catalog = SqlAlchemyCatalog(file)
    catalog.create()
    assert file.is_file()
    catalog.close()
