from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import func, select

from indexer.errors import ConceptError, UnknownConceptError
from indexer.store.catalog.tables import TagRow
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.store import Store
from indexer.store.tags import (
    count_tags,
    delete_concept,
    read_concepts,
    rename_concept,
    replace_tags,
    save_concept,
    tags_of,
)
from tests.desk import Desk
from tests.indexer.store.catalog.test_migrations import upgrade_to
from tests.pictures import plain, shades

NAMES = ("a.png", "b.png", "c.png", "d.png")


@pytest.fixture
def filled(desk: Desk) -> Desk:
    for name, colour in zip(NAMES, shades(len(NAMES)), strict=True):
        plain(desk.photos / name, colour)
    desk.index()
    save_concept(desk.store, "red", "{}")
    save_concept(desk.store, "blue", "[]")
    a, b, c, _ = (desk.id_of(name) for name in NAMES)
    replace_tags(desk.store, {"red": {a: 0.9, b: 0.6}, "blue": {b: 0.75, c: 0.5}})
    return desk


def tag_rows(store: Store) -> int:
    with store.catalog.session() as session:
        return session.scalar(select(func.count()).select_from(TagRow)) or 0


def test_what_is_kept(filled: Desk) -> None:
    assert read_concepts(filled.store) == {"blue": "[]", "red": "{}"}
    assert list(read_concepts(filled.store, ["red", "blue"])) == ["red", "blue"]
    assert count_tags(filled.store) == {"blue": 2, "red": 2}
    assert list(tags_of(filled.store, filled.id_of("b.png")).items()) == [
        ("blue", 0.75),
        ("red", 0.6),
    ]
    assert tags_of(filled.store, filled.id_of("d.png")) == {}


def test_tags_as_a_filter(filled: Desk) -> None:
    ids = {name: filled.id_of(name) for name in NAMES}

    def found(*tags: str, name: str = "") -> list[int]:
        return [*find_ids(filled.store, ImageFilter(name=name, tags=tags))]

    assert found("red") == [ids["a.png"], ids["b.png"]]
    assert found("red", "blue") == [ids["b.png"]]
    assert found("red", name="a.png") == [ids["a.png"]]
    with pytest.raises(UnknownConceptError, match="no tag 'green'; there are blue, red"):
        found("red", "green")


def test_tags_go_with_their_image(filled: Desk) -> None:
    filled.store.remove([filled.id_of("b.png")])
    assert count_tags(filled.store) == {"blue": 1, "red": 1}
    plain(filled.photos / "a.png", (9, 9, 9))  # another picture: its tags are not known
    filled.index()
    assert count_tags(filled.store) == {"blue": 1, "red": 0}
    assert tag_rows(filled.store) == 1


def test_tags_of_before_are_replaced(filled: Desk) -> None:
    replace_tags(filled.store, {"red": {filled.id_of("d.png"): 1.0}})
    assert [*find_ids(filled.store, ImageFilter(tags=("red",)))] == [filled.id_of("d.png")]
    replace_tags(filled.store, {"red": {}})
    assert count_tags(filled.store) == {"blue": 2, "red": 0}


def test_teaching_again_replaces_a_concept_and_its_tags(filled: Desk) -> None:
    save_concept(filled.store, "red", "3")
    assert read_concepts(filled.store) == {"blue": "[]", "red": "3"}
    assert count_tags(filled.store) == {"blue": 2, "red": 0}


def test_deleting_a_concept_deletes_its_tags(filled: Desk) -> None:
    delete_concept(filled.store, "red")
    assert count_tags(filled.store) == {"blue": 2}
    assert tag_rows(filled.store) == 2
    with pytest.raises(UnknownConceptError, match="there are blue"):
        delete_concept(filled.store, "red")
    delete_concept(filled.store, "blue")
    with pytest.raises(UnknownConceptError, match="none yet"):
        read_concepts(filled.store, ["blue"])


def test_a_store_of_the_schema_before_gets_the_tables(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "old" / "catalog.sqlite"
    file.parent.mkdir()
    upgrade_to(file, "0006")
    spec = desk.store.spec
    with sqlite3.connect(file) as connection:
        values = (spec.to_json(), spec.fingerprint)
        connection.execute("INSERT INTO spec (id, json, fingerprint) VALUES (1, ?, ?)", values)
    connection.close()
    store = Store.open(file.parent)
    assert count_tags(store) == {}
    save_concept(store, "red", "{}")
    assert count_tags(store) == {"red": 0}
    store.close()


def test_renamed_its_images_keep_the_tag(filled: Desk) -> None:
    before = tags_of(filled.store, filled.id_of("b.png"))
    rename_concept(filled.store, "blue", "sea", "{}")
    assert read_concepts(filled.store) == {"red": "{}", "sea": "{}"}
    after = tags_of(filled.store, filled.id_of("b.png"))
    assert after == {"sea": before["blue"], "red": before["red"]}
    assert tag_rows(filled.store) == 4


def test_a_name_that_is_taken_or_unknown_changes_nothing(filled: Desk) -> None:
    with pytest.raises(ConceptError, match="There is a tag 'red' already"):
        rename_concept(filled.store, "blue", "red", "{}")
    with pytest.raises(UnknownConceptError, match="no tag 'green'"):
        rename_concept(filled.store, "green", "grass", "{}")
    assert count_tags(filled.store) == {"blue": 2, "red": 2}
