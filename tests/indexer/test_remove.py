from __future__ import annotations

from pathlib import Path

import pytest

from indexer.errors import NoImagesError
from indexer.remove import remove_images
from indexer.store.statistics import summarize
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, RED, plain


@pytest.fixture
def filled(desk: Desk) -> Desk:
    plain(desk.photos / "red.png", RED)
    plain(desk.photos / "sub" / "green.png", GREEN)
    plain(desk.photos / "sub" / "blue.png", BLUE)
    (desk.photos / "sub" / "bad.jpg").write_text("no picture", "utf-8")
    desk.index()
    return desk


def test_a_file(filled: Desk) -> None:
    assert remove_images(filled.store, [filled.photos / "red.png"]) == 1
    assert filled.paths() == ["sub/blue.png", "sub/green.png"]
    assert (filled.photos / "red.png").is_file()
    filled.check_vectors()


def test_a_folder_counts_good_images_only(filled: Desk) -> None:
    assert remove_images(filled.store, [filled.photos / "sub"]) == 2
    assert filled.paths() == ["red.png"]
    assert summarize(filled.store).failed == []


def test_a_file_named_twice_counts_once(filled: Desk) -> None:
    places = [filled.photos / "sub", filled.photos / "sub" / "blue.png"]
    assert remove_images(filled.store, places) == 2


def test_a_relative_place(filled: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(filled.photos / "sub")
    assert remove_images(filled.store, [Path("../red.png")]) == 1


def test_a_file_that_is_gone_from_the_disk(filled: Desk) -> None:
    (filled.photos / "red.png").unlink()
    assert remove_images(filled.store, [filled.photos / "red.png"]) == 1


def test_an_unknown_place_removes_nothing(filled: Desk) -> None:
    with pytest.raises(NoImagesError, match="other"):
        remove_images(filled.store, [filled.photos / "red.png", filled.photos / "other"])
    assert len(filled.paths()) == 3


def test_a_removed_image_comes_back_under_a_new_id(filled: Desk) -> None:
    old = filled.id_of("red.png")
    remove_images(filled.store, [filled.photos / "red.png"])
    assert filled.index().added == 1
    assert filled.id_of("red.png") > old
    filled.check_vectors()
