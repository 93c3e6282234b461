"""Where a store may only be read, it is read all the same, and nothing is left beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.errors import StoreError
from indexer.remove import remove_images
from indexer.store.browsing import summarize
from indexer.store.catalog import Catalog, RootRow
from indexer.store.lookup import CatalogLookup
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.query import Hit, Query
from tests.desk import Desk, noisy_desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = noisy_desk(tmp_path)
    made.store.close()
    yield made
    made.store.close()


def forbid_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a catalogue that is connected to may only be read."""
    monkeypatch.setattr("indexer.store.connection.os.access", lambda *_: False)


def files(store: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in store.rglob("*")}


def add_root(catalog: Catalog) -> None:
    with catalog.session() as session:
        session.add(RootRow(path="more"))
        session.commit()


def found(desk: Desk, store: Store) -> list[Hit]:
    query = Query(path=desk.photos / "3.png", search="region")
    return SearchEngine(store, extractor=desk.search().extractor).search(query)


def test_a_store_that_may_only_be_read_gives_the_same_answers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(desk, desk.store)
    desk.store.close()
    left = files(desk.store.path)
    assert not [path for path in left if path.name.startswith("catalog.sqlite-")]
    forbid_writing(monkeypatch)
    store = Store.open(desk.store.path)
    assert found(desk, store) == before
    assert summarize(store).images == len(before)
    store.close()
    assert files(desk.store.path) == left


def test_what_a_writer_commits_meanwhile_is_seen(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.store.path / "catalog.sqlite"
    writer = Catalog(path)
    with writer.session() as session:
        session.add(RootRow(path="more"))
        session.flush()
        forbid_writing(monkeypatch)
        reader = CatalogLookup(path)
        assert "more" not in reader.roots().values()
        session.commit()
        assert path.with_name("catalog.sqlite-wal").stat().st_size > 0
        assert "more" in reader.roots().values()
    writer.close()
    assert not path.with_name("catalog.sqlite-wal").exists()
    assert "more" in reader.roots().values()


def test_a_change_is_refused_with_what_to_do(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_writing(monkeypatch)
    catalog = Catalog(desk.store.path / "catalog.sqlite")
    with pytest.raises(StoreError, match=r"may not be written to.*--store"):
        add_root(catalog)
    catalog.close()


def test_a_lock_that_cannot_be_taken_is_told(desk: Desk) -> None:
    (desk.store.path / "lock").unlink()
    (desk.store.path / "lock").mkdir()  # for want of a drive that is read-only
    with pytest.raises(StoreError, match=r"may not be written to.*--store"):
        remove_images(desk.store, [desk.photos / "3.png"])
    assert len(found(desk, desk.store)) == summarize(desk.store).images


def test_looking_up_makes_no_catalogue(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        CatalogLookup(tmp_path / "none.sqlite").roots()
    assert not list(tmp_path.iterdir())
