"""Concepts as the pages keep them in the store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from indexer.errors import ConceptError, UnknownConceptError
from retrieval.query import Query
from tests.sample import SAMPLE
from ui.concepts import (
    apply_concepts,
    list_concepts,
    remove_concept,
    rename_concept,
    said_of,
    teach_concept,
)
from ui.shown import Shown, shown

NAMES = [f"{group}-{i}.jpg" for group in ("cat", "coffee", "rocket", "clock") for i in (1, 2, 3, 4)]


@pytest.fixture
def shelf(tmp_path: Path, cbir: Callable[..., Result]) -> Shown:
    """What is shown of a store of four cats, and other things."""
    (tmp_path / "photos").mkdir()
    for name in NAMES:
        shutil.copy(SAMPLE / "images" / name, tmp_path / "photos" / name)
    store = tmp_path / ".cbir"
    indexed = cbir("index", tmp_path / "photos", "--store", store, "--regions", "none")
    assert indexed.exit_code == 0, indexed.output
    return shown(store)


def id_of(shelf: Shown, name: str) -> int:
    info = shelf.store.find_image(shelf.store.path.parent / "photos" / name)
    assert info is not None, name
    return info.id


def labels(shelf: Shown) -> dict[int, bool]:
    return {
        id_of(shelf, name): name.startswith("cat")
        for name in ("cat-2.jpg", "cat-3.jpg", "coffee-1.jpg", "rocket-1.jpg", "clock-1.jpg")
    }


def test_taught_listed_renamed_removed(shelf: Shown) -> None:
    assert list_concepts(shelf) == []
    made = teach_concept(shelf, Query(image_id=id_of(shelf, "cat-1.jpg")), labels(shelf), "cat")
    cats = {id_of(shelf, f"cat-{i}.jpg") for i in (1, 2, 3, 4)}
    assert set(made.probabilities) == cats
    assert all(0.5 <= p <= 1 for p in made.probabilities.values())
    assert said_of(made) == "4 images of the collection probably show cat and got it as a tag."
    [row] = list_concepts(shelf)
    assert (row["name"], row["count"]) == ("cat", 4)
    assert row["how"].startswith("Taught by 3 images that show it and ")
    rename_concept(shelf, "cat", "kitten")
    assert [(row["name"], row["count"]) for row in list_concepts(shelf)] == [("kitten", 4)]
    assert shelf.tag_counts() == {"kitten": 4}
    remove_concept(shelf, "kitten")
    assert (list_concepts(shelf), shelf.tag_counts()) == ([], {})
    with pytest.raises(UnknownConceptError, match="no tag 'kitten'"):
        remove_concept(shelf, "kitten")


def test_new_images_get_the_tag_when_it_is_applied_again(
    shelf: Shown, cbir: Callable[..., Result], tmp_path: Path
) -> None:
    teach_concept(shelf, Query(image_id=id_of(shelf, "cat-1.jpg")), labels(shelf), "cat")
    shutil.copy(SAMPLE / "images" / "cat-5.jpg", tmp_path / "photos" / "cat-5.jpg")
    assert cbir("index", tmp_path / "photos", "--store", tmp_path / ".cbir").exit_code == 0
    assert [row["count"] for row in list_concepts(shelf)] == [4]
    [tagging] = apply_concepts(shelf)
    assert id_of(shelf, "cat-5.jpg") in tagging.probabilities
    assert [row["count"] for row in list_concepts(shelf)] == [5]


def test_a_word_is_no_example(shelf: Shown) -> None:
    word = Query.for_store(shelf.spec, text="espresso")
    with pytest.raises(ConceptError, match="at least 2 positive examples"):
        teach_concept(shelf, word, {id_of(shelf, "coffee-1.jpg"): True}, "cup")
    both = {id_of(shelf, f"coffee-{i}.jpg"): True for i in (1, 2)}
    assert id_of(shelf, "coffee-1.jpg") in teach_concept(shelf, word, both, "cup").probabilities
