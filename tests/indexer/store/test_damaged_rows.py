"""Filters and tags do not believe rows that do not agree with their checksums."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.errors import StoreCorruptError
from indexer.store.filters import ImageFilter, find_ids, images_at
from indexer.store.store import Store
from indexer.store.tags import count_tags, read_concepts, replace_tags, save_concept, tags_of
from tests.desk import Desk, noisy_desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = noisy_desk(tmp_path)
    with made.store.writing():
        save_concept(made.store, "cat", '{"a": 1}')
        replace_tags(made.store, {"cat": {1: 0.75, 2: 0.5}})
    return made


NAMED, TAGGED = ImageFilter(name="1"), ImageFilter(tags=("cat",))
ASKED: list[tuple[str, Callable[[Store], object]]] = [
    ("UPDATE images SET taken_at = '2020-01-01 00:00:00.000000'", lambda s: find_ids(s, NAMED)),
    ("UPDATE images SET path = 'z.png' WHERE id = 1", lambda s: images_at(s, s.path.parent)),
    ("UPDATE tags SET image_id = 3 WHERE image_id = 2", lambda s: find_ids(s, TAGGED)),
    ("UPDATE tags SET probability = 0.1", lambda s: tags_of(s, 1)),
    ("UPDATE tags SET concept_id = 9", lambda s: count_tags(s)),
    ("UPDATE concepts SET name = 'dog'", lambda s: read_concepts(s)),
]


@pytest.mark.parametrize(("fault", "ask"), ASKED)
def test_damaged_rows_are_not_believed(
    desk: Desk, fault: str, ask: Callable[[Store], object]
) -> None:
    ask(desk.store)
    desk.store.close()
    connection = sqlite3.connect(desk.store.path / "catalog.sqlite")
    with connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute(fault)
    connection.close()
    store = Store.open(desk.store.path)
    with pytest.raises(StoreCorruptError, match="cbir doctor --repair"):
        ask(store)
    store.close()
