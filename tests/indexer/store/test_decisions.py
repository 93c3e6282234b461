"""Decisions about duplicates, in SQLite and in PostgreSQL."""

from __future__ import annotations

import pytest

from indexer.diagnosis import examine
from indexer.errors import StoreCorruptError
from indexer.store.decisions import (
    Decisions,
    choose_original,
    decisions_about,
    forget_all,
    keep_all,
    read_decisions,
    restore_decisions,
)
from indexer.store.store import Store
from tests.store_entries import plain_entry


@pytest.fixture
def store(empty_store: Store) -> Store:
    with empty_store.writing():
        empty_store.commit([plain_entry(number) for number in range(1, 6)])
    return empty_store


def decide(store: Store) -> None:
    with store.writing():
        keep_all(store, [3, 1, 2])
        choose_original(store, 5, [4, 5])


def test_what_was_decided_is_known(store: Store) -> None:
    assert read_decisions(store) == Decisions()
    decide(store)
    found = read_decisions(store)
    assert found.kept == {(1, 2), (1, 3), (2, 3)}
    assert found.copies == {(5, 4)}
    assert found.originals == {5}


def test_the_last_decision_counts(store: Store) -> None:
    decide(store)
    with store.writing():
        keep_all(store, [4, 5])
        choose_original(store, 1, [2])
    found = read_decisions(store)
    assert found.kept == {(4, 5), (1, 3), (2, 3)}  # what was said of 1 and 2 before is gone
    assert found.copies == {(1, 2)}
    with store.writing():
        forget_all(store, [2, 4])
    assert read_decisions(store) == Decisions(frozenset({(1, 3)}))


def test_what_was_decided_about_some_images_can_be_restored(store: Store) -> None:
    decide(store)
    before = read_decisions(store)
    earlier = decisions_about(store, [1, 2, 4])
    assert earlier == Decisions(frozenset({(1, 2)}))
    with store.writing():
        choose_original(store, 4, [1, 2, 4])
    assert decisions_about(store, [1, 2, 4]).copies == {(4, 1), (4, 2)}
    with store.writing():
        restore_decisions(store, [1, 2, 4], earlier)
    assert read_decisions(store) == before


def test_they_go_with_their_images(store: Store) -> None:
    decide(store)
    with store.writing():
        store.remove([2, 5])
    found = read_decisions(store)
    assert found == Decisions(frozenset({(1, 3)}))


def test_a_group_is_settled_once_it_is_known_which_stay(store: Store) -> None:
    decide(store)
    with store.writing():
        choose_original(store, 5, [1, 4])
    found = read_decisions(store)
    assert found.settle([5, 4, 1])
    assert found.settle([2, 3])
    assert found.settle([1, 2])
    assert not found.settle([1, 3, 4])
    assert not found.settle([5, 4, 3])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE decisions SET verdict = 'copy' WHERE first_id = 1 AND second_id = 2",
        "UPDATE decisions SET second_id = 4 WHERE first_id = 1 AND second_id = 2",
    ],
)
def test_damaged_ones_are_not_believed_and_are_found(store: Store, change: str) -> None:
    decide(store)
    with store.catalog.engine.begin() as connection:
        connection.exec_driver_sql(change)
    with pytest.raises(StoreCorruptError, match="some decisions"):
        read_decisions(store)
    diagnosis = examine(store.path)
    found = [finding.what for finding in diagnosis.findings]
    assert "1 decisions about duplicates are damaged." in found
    assert not diagnosis.is_sound
