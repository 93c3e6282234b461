"""What was odd about images when they were read, in SQLite and in PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from indexer.diagnosis import examine
from indexer.errors import StoreCorruptError
from indexer.store.repair import take_out
from indexer.store.statistics import summarize, warned_images
from indexer.store.store import Store
from tests.store_entries import plain_entry

ODD = ("its colour profile is damaged and was ignored", "a decoder says \0 and \udce9")
SHOWN = [ODD[0], "a decoder says ␀ and \udce9"]


@pytest.fixture
def store(empty_store: Store) -> Store:
    with empty_store.writing():
        empty_store.commit([plain_entry(1), replace(plain_entry(2), warnings=ODD), plain_entry(3)])
    return empty_store


def warned(store: Store) -> list[tuple[str, str]]:
    return [(Path(path).name, said) for path, said in warned_images(store)]


def name_of(store: Store, image_id: int) -> str:
    return store.image_infos([image_id])[image_id].path.name


def test_warnings_are_kept_and_go_with_their_image(store: Store) -> None:
    name = name_of(store, 2)
    assert warned(store) == [(name, said) for said in SHOWN]
    assert [said for _, said in summarize(store).warnings] == SHOWN
    with store.writing():
        store.commit([replace(plain_entry(2), replaces=2)])
    assert warned(store) == []
    with store.writing():
        store.commit([replace(plain_entry(3), replaces=3, warnings=("odd",))])
        store.remove([max(known.id for known in store.known_files().values())])
    assert warned(store) == []


def test_damaged_warnings_are_found_and_taken_out(store: Store) -> None:
    with store.catalog.transaction() as change:
        change.connection.execute(text("UPDATE warnings SET text = 'all is well'"))
    with pytest.raises(StoreCorruptError, match="warnings"):
        warned_images(store)
    with pytest.raises(StoreCorruptError, match="warnings"):
        store.catalog.entries([2])
    found = examine(store.path)
    assert any("1 warnings of images are damaged" in one.what for one in found.findings)
    assert take_out(store, found.catalog, []) == []
    assert warned(store) == []
