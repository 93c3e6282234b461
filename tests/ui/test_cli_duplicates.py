"""`cbir duplicates`: what it prints, writes and moves."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageOps
from typer.testing import Result

from tests.sample import SAMPLE

Run = Callable[..., Result]


@pytest.fixture
def photos(tmp_path: Path, of_duplicates: Path) -> Path:
    """Photos and their store, which the test may change."""
    shutil.copytree(of_duplicates, tmp_path / "shelf", copy_function=shutil.copy2)
    return tmp_path / "shelf" / "photos"


@pytest.fixture(scope="module")
def of_duplicates(tmp_path_factory: pytest.TempPathFactory, cbir: Run, _own_folders: None) -> Path:
    folder = tmp_path_factory.mktemp("first") / "shelf"
    (folder / "photos" / "more").mkdir(parents=True)
    for name in ("cat-1.jpg", "coffee-1.jpg", "rocket-1.jpg"):
        shutil.copy(SAMPLE / "images" / name, folder / "photos" / name)
    shutil.copy(SAMPLE / "images" / "rocket-1.jpg", folder / "photos" / "more" / "again.jpg")
    with Image.open(SAMPLE / "images" / "cat-1.jpg") as cat:
        small = ImageOps.mirror(cat).reduce(2)
        small.save(folder / "photos" / "small.jpg")
    with Image.open(SAMPLE / "images" / "coffee-1.jpg") as cup:
        width, height = cup.size
        cup.crop((width // 8, height // 8, width * 7 // 8, height)).save(
            folder / "photos" / "cut.png"
        )
    store = folder / ".cbir"
    indexed = cbir("index", folder / "photos", "--store", store, "--regions", "none")
    assert indexed.exit_code == 0, indexed.output
    found = cbir("duplicates", "--store", store)
    assert found.exit_code == 0, found.output
    return folder


@pytest.fixture
def run(photos: Path, cbir: Run) -> Run:
    return lambda *arguments: cbir("duplicates", *arguments, "--store", photos.parent / ".cbir")


def groups_in(result: Result) -> list[tuple[str, list[str]]]:
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return [(row["kind"], [Path(image["path"]).name for image in row["images"]]) for row in rows]


FOUND = [
    ("bytes", ["rocket-1.jpg", "again.jpg"]),
    ("picture", ["cat-1.jpg", "small.jpg"]),
    ("part", ["coffee-1.jpg", "cut.png"]),
]


def test_groups_are_listed_for_people(run: Run) -> None:
    found = run()
    lines = found.stdout.splitlines()
    assert (lines[0], lines[3]) == ("1. the same bytes", "2. the same picture")
    assert lines[4].strip().startswith("first ")
    assert "mirrored)" in lines[5]
    assert "3. parts of one picture" in lines
    assert lines[-2] == (
        "3 groups among 6 images: 1 of the same bytes, 1 of the same picture, "
        "1 of parts of one picture."
    )
    assert lines[-1].startswith("2 copies take ")


def test_json_has_a_group_a_line(run: Run) -> None:
    found = run("--json")
    assert groups_in(found) == FOUND
    row = json.loads(found.stdout.splitlines()[2])
    whole, part = row["images"]
    assert (whole["role"], part["role"]) == ("whole", "part")
    assert whole["quad"] is None
    assert len(part["quad"]) == 4
    assert part["agreement"] > 0.95
    assert not row["decided"]
    small = json.loads(found.stdout.splitlines()[1])["images"][1]
    assert (small["mirrored"], small["turned"]) == (True, 0)


def test_kinds_filters_and_known_ones(run: Run) -> None:
    assert groups_in(run("--json", "--kind", "bytes", "--kind", "part")) == FOUND[::2]
    assert groups_in(run("--json", "--where", "name:cat or name:small")) == FOUND[1:2]
    assert groups_in(run("--json", "--known")) == FOUND
    wrong = run("--kind", "color")
    assert wrong.exit_code == 2
    assert "is not one of bytes, picture, part" in wrong.stderr
    unknown = run("--where", "colour:red")
    assert unknown.exit_code == 1
    assert "Traceback" not in unknown.output


def test_tables_lists_and_pages(run: Run, tmp_path: Path) -> None:
    table, page, listed = (tmp_path / name for name in ("t.csv", "p.html", "l.txt"))
    done = run("--known", "--csv", table, "--html", page, "--list", listed)
    assert done.exit_code == 0, done.output
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["role"] for row in rows] == ["first", "copy", "first", "copy", "whole", "part"]
    assert [Path(line).name for line in listed.read_text("utf-8").splitlines()] == [
        "again.jpg",
        "small.jpg",
    ]
    text = page.read_text("utf-8")
    assert text.count("<img") == 6
    assert "http" not in text


@pytest.mark.parametrize("option", ["--csv", "--html", "--list"])
def test_a_file_that_cannot_be_written_is_named(run: Run, tmp_path: Path, option: str) -> None:
    done = run("--known", option, tmp_path)
    assert done.exit_code == 1
    assert f"{tmp_path} cannot be written: Is a directory." in " ".join(done.stderr.split())


def test_an_image_is_named_by_a_number_that_no_image_has(run: Run) -> None:
    for number in ("999", str(2**63), str(10**30)):
        done = run("--keep", number)
        assert done.exit_code == 1
        assert f"has no image {number}" in " ".join(done.stderr.split())


def test_decisions_are_kept(run: Run, photos: Path) -> None:
    assert run("--keep", photos / "more" / "again.jpg").exit_code == 0
    assert run("--original", photos / "small.jpg").exit_code == 0
    assert groups_in(run("--json")) == FOUND[2:]
    assert groups_in(run("--json", "--all"))[1] == ("picture", ["small.jpg", "cat-1.jpg"])
    assert "it is decided" in run("--kind", "picture").stdout
    assert run("--forget", photos / "small.jpg", "--forget", photos / "rocket-1.jpg").exit_code == 0
    assert groups_in(run("--json", "--known")) == FOUND


def test_what_is_no_duplicate_cannot_be_decided(run: Run, photos: Path) -> None:
    for name, why in (("none.jpg", "no image"), ("999", "no image")):
        wrong = run("--keep", photos / name if "." in name else name)
        assert wrong.exit_code == 1
        assert why in wrong.stderr


def test_copies_move_and_come_back(run: Run, photos: Path, tmp_path: Path) -> None:
    away = tmp_path / "away"
    moved = run("--known", "--move-to", away)
    assert moved.exit_code == 0, moved.output
    assert "2 photos moved." in moved.stdout
    assert (away / "photos" / "more" / "again.jpg").exists()
    assert not (photos / "small.jpg").exists()
    assert (photos / "cut.png").exists()  # a part is no copy
    [undo] = away.glob("cbir-undo-*.jsonl")
    back = run("--undo", undo, "--json")
    assert len(json.loads(back.stdout)["moved"]) == 2
    assert (photos / "small.jpg").exists()
    inside = run("--known", "--move-to", photos / "away")
    assert inside.exit_code == 1
    assert "Choose a folder elsewhere" in inside.stderr


def test_a_store_without_duplicates(cbir: Run, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    shutil.copy(SAMPLE / "images" / "cat-1.jpg", tmp_path / "photos")
    store = tmp_path / ".cbir"
    cbir("index", tmp_path / "photos", "--store", store, "--regions", "none")
    found = cbir("duplicates", "--store", store)
    assert found.stdout == "No duplicates among 1 images.\n"
    assert cbir("duplicates", "--store", store, "--json").stdout == ""
