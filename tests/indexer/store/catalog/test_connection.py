"""Where a store may only be read, it is read all the same, and nothing is left beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexer.errors import StoreError
from indexer.features.regions import Region
from indexer.remove import remove_images
from indexer.sources.place import Place
from indexer.store.catalog.protocol import Catalog
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.catalog.sqlite_reader import SqliteReader
from indexer.store.statistics import summarize
from indexer.store.store import Store
from tests.catalogs import roots_of
from tests.desk import Desk, noisy_desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = noisy_desk(tmp_path)
    made.store.close()
    yield made
    made.store.close()


def forbid_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on a catalogue that is connected to may only be read."""
    monkeypatch.setattr("indexer.store.catalog.connection.os.access", lambda *_: False)


def files(store: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in store.rglob("*")}


def add_root(catalog: SqlAlchemyCatalog) -> None:
    with catalog.transaction() as change:
        change.add_root("more")


def found(store: Store) -> list[tuple[Place, float, Region]]:
    """The images nearest to the first region of the fourth, with scores and boxes."""
    kind = store.find_kind("conv", "region")
    index = store.vector_index(kind)
    _, vectors = index.rows_of_image(4)
    [match] = index.search_images(vectors[:1], 10)
    infos, regions = store.image_infos(match.image_ids.tolist()), store.regions(match.ids.tolist())
    return [
        (infos[image].path, score, regions[region])
        for image, region, score in zip(*(array.tolist() for array in match), strict=True)
    ]


def test_a_store_that_may_only_be_read_gives_the_same_answers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = found(desk.store)
    desk.store.close()
    assert before[0][0] == desk.photos / "3.png"
    left = files(desk.store.path)
    assert not [path for path in left if path.name.startswith("catalog.sqlite-")]
    forbid_writing(monkeypatch)
    store = Store.open(desk.store.path)
    assert found(store) == before
    assert summarize(store).images == len(before)
    store.close()
    assert files(desk.store.path) == left


@pytest.mark.parametrize("open_catalog", [SqliteReader, SqlAlchemyCatalog])
def test_what_a_writer_commits_meanwhile_is_seen(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, open_catalog: Callable[[Path], Catalog]
) -> None:
    path = desk.store.path / "catalog.sqlite"
    writer = SqlAlchemyCatalog(path)
    with writer.transaction() as change:
        change.add_root("more")
        forbid_writing(monkeypatch)
        reader = open_catalog(path)
        assert "more" not in roots_of(reader).values()
    assert path.with_name("catalog.sqlite-wal").stat().st_size > 0
    assert "more" in roots_of(reader).values()
    writer.close()
    assert not path.with_name("catalog.sqlite-wal").exists()
    assert "more" in roots_of(reader).values()
    reader.close()


def test_a_change_is_refused_with_what_to_do(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_writing(monkeypatch)
    catalog = SqlAlchemyCatalog(desk.store.path / "catalog.sqlite")
    with pytest.raises(StoreError, match=r"is read-only.*--store"):
        add_root(catalog)
    catalog.close()


def test_a_lock_that_cannot_be_taken_is_told(desk: Desk) -> None:
    (desk.store.path / "lock").unlink()
    (desk.store.path / "lock").mkdir()  # for want of a drive that is read-only
    with pytest.raises(StoreError, match=r"is read-only.*--store"):
        remove_images(desk.store, [desk.photos / "3.png"])
    assert len(found(desk.store)) == summarize(desk.store).images
