from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from indexer.errors import InvalidLabelsError
from retrieval.labels import FORMAT, dump_labels, load_labels
from tests.desk import Desk
from tests.pictures import plain, shades

NAMES = ("a.png", "summer/b.png", "summer/Größe \udcff [1].png", "c.png")


@pytest.fixture
def filled(desk: Desk) -> Desk:
    for name, colour in zip(NAMES, shades(len(NAMES)), strict=True):
        plain(desk.photos / name, colour)
    desk.index()
    return desk


def as_text(*paths: Any) -> str:
    entries = [{"path": path, "match": True} for path in paths]
    return json.dumps({"format": FORMAT, "labels": entries})


def test_labels_come_back_as_they_were(filled: Desk) -> None:
    labels = {filled.id_of(name): i % 2 == 0 for i, name in enumerate(NAMES)}
    text = dump_labels(filled.store, labels)
    assert load_labels(filled.store, text) == (labels, [])
    assert load_labels(filled.store, text.encode()) == (labels, [])
    assert load_labels(filled.store, dump_labels(filled.store, {})) == ({}, [])


def test_images_are_named_from_the_folder_that_holds_the_store(filled: Desk) -> None:
    text = dump_labels(filled.store, {filled.id_of("summer/b.png"): False})
    assert json.loads(text) == {
        "format": FORMAT,
        "labels": [{"path": "photos/summer/b.png", "match": False}],
    }
    assert str(filled.photos) not in text


def test_labels_of_images_that_are_gone_are_not_written(filled: Desk) -> None:
    gone, kept = filled.id_of("a.png"), filled.id_of("c.png")
    filled.store.remove([gone])
    text = dump_labels(filled.store, {gone: True, kept: True, 10**6: False})
    assert load_labels(filled.store, text) == ({kept: True}, [])


def test_labels_hold_in_another_store_of_the_same_photos(filled: Desk) -> None:
    text = dump_labels(filled.store, {filled.id_of("c.png"): True})
    filled.store.remove([filled.id_of("c.png")])
    filled.index()  # it comes back under another id
    assert load_labels(filled.store, text) == ({filled.id_of("c.png"): True}, [])


def test_what_the_store_does_not_know_is_told(filled: Desk) -> None:
    (filled.photos / "bad.png").write_text("no picture", "utf-8")
    filled.index()
    known, *unknown = (f"photos/{name}" for name in ("a.png", "bad.png", "A.png", "summer", ""))
    found = load_labels(filled.store, as_text(known, *unknown))
    assert found == ({filled.id_of("a.png"): True}, unknown)


@pytest.fixture
def two_folders(filled: Desk, tmp_path: Path) -> Desk:
    """There is an `a.png` in either."""
    for name, colour in zip(("a.png", "only here.png"), shades(7), strict=False):
        plain(tmp_path / "more" / name, colour)
    filled.index(tmp_path / "more")
    return filled


def test_several_folders_of_photos(two_folders: Desk) -> None:
    names = ("c.png", "../more/only here.png")
    labels = {two_folders.id_of(name): True for name in names}
    assert load_labels(two_folders.store, dump_labels(two_folders.store, labels)) == (labels, [])


def test_namesakes_in_two_folders_are_told_apart(two_folders: Desk) -> None:
    labels = {two_folders.id_of("a.png"): True, two_folders.id_of("../more/a.png"): False}
    assert load_labels(two_folders.store, dump_labels(two_folders.store, labels)) == (labels, [])


def test_paths_that_climb_out_find_images_of_the_store_or_nothing(
    filled: Desk, tmp_path: Path
) -> None:
    outside = plain(tmp_path / "outside.png", (1, 2, 3))
    climbing = ["../outside.png", str(outside), "../" * 40 + "etc/passwd", "/etc/passwd", ".."]
    labels, unknown = load_labels(filled.store, as_text(*climbing, "photos/x/../a.png"))
    assert unknown == climbing
    assert labels == {filled.id_of("a.png"): True}
    assert load_labels(filled.store, as_text("\0", "photos/a.png/../../..", "~/x"))[0] == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "3",
        "[]",
        "{}",
        b"\xff\xfe\x00",
        b"\x89PNG\r\n\x1a\n",
        "[" * 100_000,
        "1" * 10_000,
        json.dumps({"format": "cbir labels 2", "labels": []}),
        json.dumps({"format": FORMAT}),
        json.dumps({"format": FORMAT, "labels": 3}),
        json.dumps({"format": FORMAT, "labels": None}),
        json.dumps({"format": FORMAT, "labels": ["a.png"]}),
        json.dumps({"format": FORMAT, "labels": {"a.png": True}}),
        json.dumps({"format": FORMAT, "labels": [{"path": "a.png"}]}),
        json.dumps({"format": FORMAT, "labels": [{"match": True}]}),
        json.dumps({"format": FORMAT, "labels": [{"path": "a.png", "match": 1}]}),
        json.dumps({"format": FORMAT, "labels": [{"path": "a.png", "match": "yes"}]}),
    ],
)
def test_damaged_files(filled: Desk, text: str | bytes) -> None:
    with pytest.raises(InvalidLabelsError, match="labels file is not valid"):
        load_labels(filled.store, text)


def test_a_path_that_no_file_can_have(filled: Desk) -> None:
    found = load_labels(filled.store, as_text("photos/\ud800.png", "photos/a.png"))
    assert found == ({filled.id_of("a.png"): True}, ["photos/\ud800.png"])
