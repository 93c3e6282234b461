"""Moving copies into a folder, and back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from indexer.errors import MoveError
from indexer.moving import move_copies, undo_moves
from tests.desk import Desk
from tests.pictures import RED, plain


@pytest.fixture
def shelf(desk: Desk) -> Desk:
    plain(desk.photos / "first.png", RED)
    for name in ("copy.png", "deep/copy.png", "third.png"):
        (desk.photos / name).parent.mkdir(exist_ok=True)
        shutil.copy(desk.photos / "first.png", desk.photos / name)
    desk.index()
    return desk


def ids(desk: Desk, *names: str) -> list[int]:
    found = [desk.store.find_image(desk.photos / name) for name in names]
    return [info.id for info in found if info is not None]


def files_below(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*.png")}


def test_copies_move_and_come_back(shelf: Desk, tmp_path: Path) -> None:
    before = files_below(shelf.photos)
    away = tmp_path / "away"
    group = ids(shelf, "first.png", "copy.png", "deep/copy.png")
    report = move_copies(shelf.store, [group], away)
    assert report.left == []
    assert files_below(away) == {"photos/copy.png", "photos/deep/copy.png"}
    assert files_below(shelf.photos) == {"first.png", "third.png"}
    assert report.undo_file is not None
    assert report.undo_file.parent == away
    back = undo_moves(report.undo_file)
    assert len(back.moved) == 2
    assert files_below(shelf.photos) == before
    assert undo_moves(report.undo_file).moved == []  # a second time there is nothing to do


def test_nothing_is_overwritten(shelf: Desk, tmp_path: Path) -> None:
    away = tmp_path / "away"
    (away / "photos").mkdir(parents=True)
    (away / "photos" / "copy.png").write_text("there before", "utf-8")
    report = move_copies(shelf.store, [ids(shelf, "first.png", "copy.png")], away)
    assert (away / "photos" / "copy.png").read_text("utf-8") == "there before"
    assert report.moved[0][1].name == "copy-2.png"
    assert report.undo_file is not None
    (shelf.photos / "copy.png").write_text("a new one", "utf-8")
    back = undo_moves(report.undo_file)
    assert back.moved == []
    assert "exists" in back.left[0][1]
    assert (shelf.photos / "copy.png").read_text("utf-8") == "a new one"


def test_what_has_changed_stays_and_so_do_copies_of_what_is_gone(
    shelf: Desk, tmp_path: Path
) -> None:
    groups = [ids(shelf, "first.png", "copy.png"), ids(shelf, "third.png", "deep/copy.png")]
    (shelf.photos / "copy.png").write_text("another picture", "utf-8")
    (shelf.photos / "third.png").unlink()
    report = move_copies(shelf.store, groups, tmp_path / "away")
    assert report.moved == []
    assert report.undo_file is None
    reasons = dict(report.left)
    assert reasons[str(shelf.photos / "copy.png")] == "it has changed since it was indexed"
    assert "the photo to keep" in reasons[str(shelf.photos / "deep" / "copy.png")]
    assert (shelf.photos / "deep" / "copy.png").exists()


def test_a_link_stays(shelf: Desk, tmp_path: Path) -> None:
    group = ids(shelf, "first.png", "copy.png")
    (shelf.photos / "copy.png").unlink()
    (shelf.photos / "copy.png").symlink_to(shelf.photos / "first.png")
    report = move_copies(shelf.store, [group], tmp_path / "away")
    assert [reason for _, reason in report.left] == ["not a plain file"]


def test_a_folder_among_the_photos_is_refused(shelf: Desk) -> None:
    with pytest.raises(MoveError, match="lies inside"):
        move_copies(shelf.store, [ids(shelf, "first.png", "copy.png")], shelf.photos / "away")


def test_a_folder_that_cannot_be_made_leaves_all_as_it_is(shelf: Desk, tmp_path: Path) -> None:
    (tmp_path / "away").write_text("a file", "utf-8")
    with pytest.raises(MoveError, match="cannot be used"):
        move_copies(shelf.store, [ids(shelf, "first.png", "copy.png")], tmp_path / "away")
    assert (shelf.photos / "copy.png").exists()


def test_a_move_that_was_written_down_and_not_made_is_passed_over(
    shelf: Desk, tmp_path: Path
) -> None:
    line = {"from": str(shelf.photos / "copy.png"), "to": str(tmp_path / "away" / "copy.png")}
    undo = tmp_path / "cbir-undo-x.jsonl"
    undo.write_text(json.dumps(line) + "\n", "utf-8")
    report = undo_moves(undo)
    assert (report.moved, report.left) == ([], [])


def test_an_undo_file_that_was_cut_off_undoes_what_it_names_whole(
    shelf: Desk, tmp_path: Path
) -> None:
    report = move_copies(shelf.store, [ids(shelf, "first.png", "copy.png")], tmp_path / "away")
    assert report.undo_file is not None
    with report.undo_file.open("a", encoding="utf-8") as file:
        file.write('{"from": "/ph')
    assert len(undo_moves(report.undo_file).moved) == 1
    assert (shelf.photos / "copy.png").exists()


@pytest.mark.parametrize("text", ["no json", "[1]", '{"from": 1, "to": 2}', '{"from": "a"}'])
def test_other_files_are_no_undo_files(tmp_path: Path, text: str) -> None:
    (tmp_path / "undo").write_text(f"{text}\n", "utf-8")
    with pytest.raises(MoveError, match="not an undo file"):
        undo_moves(tmp_path / "undo")
    (tmp_path / "undo").write_text('{"from": "a", "to": "b"}\n', "utf-8")
    with pytest.raises(MoveError, match="not absolute"):
        undo_moves(tmp_path / "undo")
    with pytest.raises(MoveError, match="cannot be read"):
        undo_moves(tmp_path / "nothing")
