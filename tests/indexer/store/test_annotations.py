"""Fields of the user's own: what they say of images, in SQLite and in PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest

from indexer.diagnosis import examine
from indexer.errors import AnnotationError, InvalidFilterError, StoreCorruptError
from indexer.store.annotations import annotate, delete_field, read_annotations, read_fields
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.store import Store
from tests.store_entries import plain_entry

TABLE = {
    "SKU": {1: "A-1", 2: "A-2", 3: "b_1", 4: "10"},
    "price": {1: "9.50", 2: "10", 3: "1e1", 4: "many"},
    "Größe": {1: "GROSS", 2: "klein"},
}


@pytest.fixture
def store(empty_store: Store) -> Store:
    with empty_store.writing():
        empty_store.commit([plain_entry(number) for number in range(1, 6)])
        annotate(empty_store, TABLE)
    return empty_store


def found(store: Store, where: str) -> list[int]:
    return [*find_ids(store, ImageFilter(where=where))]


def test_what_was_said_is_known(store: Store) -> None:
    assert [*read_fields(store)] == [*TABLE]
    assert read_annotations(store) == TABLE
    assert store.reader.annotations([2, 5, 99]) == {
        2: {"SKU": "A-2", "price": "10", "Größe": "klein"}
    }
    assert store.reader.annotations([]) == {}
    faults = examine(store.path).catalog
    assert not faults.fields
    assert not faults.annotations


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("sku:a", [1, 2]),
        ("sku=a-1", [1]),
        ("sku!=a-1", [2, 3, 4]),
        ("not sku=a-1", [2, 3, 4, 5]),
        ("sku:?_1", [3]),
        ("price=10", [2, 3]),
        ('price="10"', [2]),
        ("price<10", [1]),
        ("price>=9.5", [1, 2, 3]),
        ("price>m", [4]),
        ("sku=10 or sku>=b", [3, 4]),
        ("größe=groß", [1]),
        ("größe:*", [1, 2]),
        ("not größe:* and price:*", [3, 4]),
    ],
)
def test_filters_know_them(store: Store, where: str, ids: list[int]) -> None:
    if where == "größe=groß" and store.catalog.database.name == "PostgreSQL":
        ids = []  # its rules of Unicode keep the ß
    assert found(store, where) == ids


def test_an_unknown_field_says_which_there_are(store: Store) -> None:
    with pytest.raises(InvalidFilterError, match=r"no field 'skuu'.*pages, SKU, price, Größe"):
        found(store, "skuu:1")


def test_a_second_table_changes_what_it_names(store: Store) -> None:
    with store.writing():
        annotate(store, {"sku": {1: "Z", 2: ""}, "title": {5: "A cat"}})
    assert store.reader.annotations([1, 2, 3, 5]) == {
        1: {"SKU": "Z", "price": "9.50", "Größe": "GROSS"},
        2: {"price": "10", "Größe": "klein"},
        3: {"SKU": "b_1", "price": "1e1"},
        5: {"title": "A cat"},
    }


def test_they_stay_with_an_image_that_is_described_again_and_go_with_one_that_is_removed(
    store: Store,
) -> None:
    with store.writing():
        store.commit(
            [
                replace(plain_entry(1), replaces=1),
                plain_entry(7),
                replace(plain_entry(2), replaces=2),
            ]
        )
        store.remove([3])
    said = store.reader.annotations([*range(1, 12)])
    assert said == {
        4: {"SKU": "10", "price": "many"},
        6: {"SKU": "A-1", "price": "9.50", "Größe": "GROSS"},
        8: {"SKU": "A-2", "price": "10", "Größe": "klein"},
    }


def test_a_field_can_be_deleted(store: Store) -> None:
    with store.writing():
        delete_field(store, "sku")
        with pytest.raises(AnnotationError, match="no field 'sku'; there are price, Größe"):
            delete_field(store, "sku")
    assert [*read_fields(store)] == ["price", "Größe"]
    assert "SKU" not in store.reader.annotations([1])[1]


@pytest.mark.parametrize(
    ("table", "why"),
    [
        ({"Date": {1: "x"}}, "Date is what cbir itself knows"),
        ({"": {1: "x"}}, "cannot be the name"),
        ({"a\nb": {1: "x"}}, "cannot be the name"),
        ({"x" * 101: {1: "x"}}, "is too long"),
        ({"a": {}, "A": {}}, "the same name"),
        ({f"f{n}": {} for n in range(198)}, "200 fields at most, not 201"),
        ({"a": {1: "x" * 10_001}}, "more than 10,000 characters"),
    ],
)
def test_what_cannot_be_a_field_is_told(
    store: Store, table: dict[str, dict[int, str]], why: str
) -> None:
    with store.writing(), pytest.raises(AnnotationError, match=why):
        annotate(store, table)
    assert read_annotations(store) == TABLE


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE annotations SET text = 'B-1' WHERE image_id = 1 AND field_id = 1", "annotations"),
        ("UPDATE annotations SET number = 3 WHERE image_id = 1 AND field_id = 2", "annotations"),
        ("UPDATE fields SET name = 'skv' WHERE id = 1", "fields"),
    ],
)
def test_what_is_damaged_is_not_believed(store: Store, change: str, what: str) -> None:
    with store.catalog.engine.begin() as connection:
        connection.exec_driver_sql(change)
    with pytest.raises(StoreCorruptError, match=f"some {what}"):
        store.reader.annotations([1])
    with pytest.raises(StoreCorruptError):
        found(store, "sku:a")
    diagnosis = examine(store.path)
    assert any("damaged" in finding.what for finding in diagnosis.findings)
    assert not diagnosis.is_sound
