"""Reading the catalogue by SQLite alone; see `test_catalog_conformance.py` for its answers."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.errors import StoreError
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.catalog.sqlite_reader import IDLE, SqliteReader
from tests.catalogs import roots_of


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[SqlAlchemyCatalog]:
    made = SqlAlchemyCatalog(tmp_path / "catalog.sqlite")
    made.create()
    yield made
    made.close()


def test_the_schema_is_known(tmp_path: Path, catalog: SqlAlchemyCatalog) -> None:
    reader = SqliteReader(tmp_path / "catalog.sqlite")
    assert reader.is_current()
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0003'")
    assert not reader.is_current()
    reader.close()


def test_a_file_that_is_no_catalogue_is_not_current(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    file.write_bytes(b"This is not a database. " * 100)
    assert not SqliteReader(file).is_current()
    file.write_bytes(b"")
    assert not SqliteReader(file).is_current()


def test_reading_makes_no_catalogue(tmp_path: Path) -> None:
    reader = SqliteReader(tmp_path / "none.sqlite")
    with pytest.raises(StoreError, match=r"none\.sqlite cannot be used"):
        roots_of(reader)
    assert not reader.is_current()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which files are mapped")
def test_few_connections_keep_the_file_in_memory(
    tmp_path: Path, catalog: SqlAlchemyCatalog
) -> None:
    reader = SqliteReader(tmp_path / "catalog.sqlite")

    def count_maps() -> int:
        maps = Path("/proc/self/maps").read_text("utf-8").splitlines()
        return sum(line.endswith(str(reader.path)) for line in maps)

    catalog.close()  # all is in the file itself now
    with contextlib.ExitStack() as moments:
        for _ in range(8):
            ask = moments.enter_context(reader.moment())
            assert list(ask("SELECT version_num FROM alembic_version", ()))
        assert count_maps() == 8
    assert count_maps() == IDLE
    reader.close()
    assert count_maps() == 0
