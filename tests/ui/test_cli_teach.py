from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import Result

from indexer.features.regions import Region
from tests.sample import SAMPLE

Run = Callable[..., Result]
NAMES = [f"{group}-{i}.jpg" for group in ("cat", "coffee", "rocket") for i in (1, 2, 3, 4)]


@dataclass(frozen=True)
class Shelf:
    """A small store of sample pictures, which the tests of this file share and change."""

    photos: Path
    store: Path
    run: Run

    def path(self, name: str) -> Path:
        return self.photos / name

    def lines(self, *arguments: object) -> list[dict[str, Any]]:
        done = self.run(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory, cbir: Run, _own_folders: None) -> Shelf:
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "photos").mkdir()
    for name in NAMES:
        shutil.copy(SAMPLE / "images" / name, folder / "photos" / name)
    store = folder / ".cbir"
    done = cbir("index", folder / "photos", "--store", store, "--regions", "none")
    assert done.exit_code == 0, done.output
    return Shelf(folder / "photos", store, lambda *args: cbir(*args, "--store", store))


def teach_cats(shelf: Shelf, *more: object) -> Result:
    given: list[object] = ["teach", "cat"]
    for name in ("cat-1.jpg", "cat-2.jpg", "cat-3.jpg"):
        given += ["--positive", shelf.path(name)]
    for name in ("coffee-1.jpg", "coffee-2.jpg", "rocket-1.jpg", "rocket-2.jpg"):
        given += ["--negative", shelf.path(name)]
    return shelf.run(*given, *more)


def test_from_examples_to_a_filter(shelf: Shelf) -> None:
    done = teach_cats(shelf)
    assert done.exit_code == 0, done.output
    assert "Taught 'cat' from 3 positive and 4 negative examples" in done.stdout
    assert "100% of them are told right" in done.stdout
    assert "cbir tag 'cat'" in done.stdout
    done = shelf.run("tag", "cat")
    assert done.stdout.startswith("cat: 4 images tagged")
    assert "cat-1.jpg" in done.stdout
    [answer] = shelf.lines("query", shelf.path("rocket-1.jpg"), "--tag", "cat", "-k", 4)
    assert sorted(Path(hit["path"]).name for hit in answer["hits"]) == NAMES[:4]
    done = shelf.run("query", shelf.path("rocket-1.jpg"), "--tag", "cat", "--tag", "dog")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no tag 'dog'; there are cat" in done.stderr


def test_tags_as_json_and_csv(shelf: Shelf) -> None:
    teach_cats(shelf)
    rows = shelf.lines("tag")
    assert len(rows) == 4
    assert [set(row) for row in rows] == [{"path", "image_id", "tag", "probability"}] * 4
    assert {row["tag"] for row in rows} == {"cat"}
    values = [row["probability"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert min(values) >= 0.5
    table = list(csv.DictReader(io.StringIO(shelf.run("tag", "--csv").stdout.split("cat: ")[0])))
    assert [row["path"] for row in table] == [row["path"] for row in rows]
    assert shelf.lines("tag", "--threshold", 1) == []
    assert shelf.run("query", shelf.path("cat-1.jpg"), "--tag", "cat").stdout == "No hits.\n"
    assert shelf.run("tag", "--json", "--csv").exit_code == 2


def test_where_a_tag_is(shelf: Shelf, tmp_path: Path) -> None:
    scene = "scene-cat-on-grass.jpg"
    shutil.copy(SAMPLE / "images" / scene, tmp_path / scene)
    assert shelf.run("index", tmp_path).exit_code == 0
    teach_cats(shelf)
    rows = shelf.lines("tag", "cat", "--threshold", "0.01", "--locate")
    boxes = {Path(row["path"]).name: Region(*row["box"]) for row in rows}
    scenes = json.loads((SAMPLE / "manifest.json").read_text("utf-8"))["scenes"]
    truth = Region(*scenes[scene]["cat"])
    with Image.open(tmp_path / scene) as image:
        whole = Region(0, 0, image.width, image.height)
    assert boxes[scene].iou(truth) > max(0.3, whole.iou(truth))
    table = shelf.run("tag", "cat", "--csv", "--locate").stdout
    assert table.startswith("path,image_id,tag,probability,box\n")
    assert shelf.run("tag", "cat", "--locate").exit_code == 2
    shelf.run("remove", tmp_path / scene)
    teach_cats(shelf, "--feature", "fc")
    assert "have no places" in shelf.run("tag", "cat", "--locate", "--json").stderr


def test_what_was_taught_can_be_listed_carried_and_forgotten(shelf: Shelf, tmp_path: Path) -> None:
    teach_cats(shelf)
    before = shelf.lines("tag", "cat")
    file = tmp_path / "cat.json"
    assert shelf.lines("teach", "cat", "--export", file) == [{"name": "cat", "file": str(file)}]
    assert shelf.run("teach", "kitten", "--import", file).exit_code == 0
    after = shelf.lines("tag", "kitten")
    assert [row | {"tag": "cat"} for row in after] == before
    listed = {row["name"]: row for row in shelf.lines("teach", "--list")}
    assert set(listed) == {"cat", "kitten"}
    assert listed["cat"]["tagged"] == 4
    assert listed["cat"]["fits"]
    assert "4 images tagged; from 3 positive" in shelf.run("teach", "--list").stdout
    renamed = shelf.lines("teach", "kitten", "--rename", " young cat ")
    assert renamed == [{"renamed": "kitten", "to": "young cat"}]
    assert "4 images tagged" in shelf.run("teach", "--list").stdout.splitlines()[1]
    done = shelf.run("teach", "young cat", "--rename", "cat")
    assert (done.exit_code, "a tag 'cat' already" in done.stderr) == (1, True)
    assert "are now called 'kitten'" in shelf.run("teach", "young cat", "--rename", "kitten").stdout
    assert shelf.lines("teach", "kitten", "--delete") == [{"deleted": "kitten"}]
    assert [row["name"] for row in shelf.lines("teach", "--list")] == ["cat"]
    done = shelf.run("teach", "kitten", "--delete")
    assert (done.exit_code, "no tag 'kitten'" in done.stderr) == (1, True)


def test_a_folder_and_images_drawn_by_chance(shelf: Shelf, tmp_path: Path) -> None:
    for name in ("cat-1.jpg", "cat-2.jpg"):
        shutil.copy(shelf.path(name), tmp_path / name)
    (tmp_path / "bad.jpg").write_text("milk", "utf-8")
    done = shelf.run("teach", "pet", "--positive", tmp_path)
    assert done.exit_code == 0, done.output
    assert "3 of the negatives are images of the store, drawn by chance" in done.stdout
    assert "without 1 that look like positives" in done.stdout  # another cat was drawn
    assert f"Left out {tmp_path / 'bad.jpg'}" in done.stderr
    [row] = shelf.lines("teach", "pet", "--positive", tmp_path, "--feature", "fc")
    assert (row["positives"], row["negatives"], row["drawn"]) == (2, 3, 3)
    assert row["feature"] == "fc"
    assert [Path(failed["path"]).name for failed in row["failed"]] == ["bad.jpg"]
    shelf.run("teach", "pet", "--delete")


def test_labels_of_the_teach_page(shelf: Shelf, tmp_path: Path) -> None:
    entries = [
        {"path": os.fspath(shelf.path(name)), "match": name.startswith("cat")}
        for name in ("cat-1.jpg", "cat-2.jpg", "coffee-1.jpg", "rocket-1.jpg")
    ]
    entries.append({"path": "gone.jpg", "match": True})
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({"format": "cbir labels 1", "labels": entries}), "utf-8")
    done = shelf.run("teach", "labelled", "--labels", file)
    assert done.exit_code == 0, done.output
    assert "from 2 positive" in done.stdout
    assert "Left out gone.jpg" in done.stderr
    done = shelf.run("teach", "x", "--labels", tmp_path / "none.json")
    assert "none.json cannot be read" in done.stderr
    shelf.run("teach", "labelled", "--delete")


@pytest.mark.parametrize(
    "arguments",
    [
        ["teach"],
        ["teach", "x"],
        ["teach", "--delete"],
        ["teach", "--list", "--delete"],
        ["teach", "--rename", "x"],
        ["teach", "x", "--rename", "y", "--delete"],
        ["teach", "x", "--delete", "--positive", "y.jpg"],
        ["tag", "--classes", "x"],
        ["tag", "--threshold", "2"],
        ["query", "a.jpg", "--text", "cat"],
        ["query"],
    ],
)
def test_usage(shelf: Shelf, arguments: list[str]) -> None:
    assert shelf.run(*arguments).exit_code == 2


def test_errors(shelf: Shelf, tmp_path: Path) -> None:
    cat = shelf.path("cat-1.jpg")
    big = tmp_path / "big.json"
    big.write_bytes(b" " * 5_000_000)
    for arguments, said in (
        (["teach", "x", "--positive", "nowhere.jpg"], "no image, and no folder of images, at"),
        (["teach", "x", "--positive", cat], "at least 2 positive"),
        (["teach", " ", "--positive", cat], "cannot be the name"),
        (["teach", "x", "--positive", cat, "--negative", cat], "positive and as a negative"),
        (["teach", "x", "--import", tmp_path], "cannot be read"),
        (["teach", "x", "--import", cat], "concept file is not valid"),
        (["teach", "x", "--import", big], "more than 4,000,000 bytes"),
        (["teach", "cat", "--export", tmp_path / "no" / "x.json"], "cannot be written"),
        (["tag", "nothing"], "no tag 'nothing'"),
        (["query", "--text", "expresso"], "Close ones are espresso"),
        (["query", "--text", "cat", "--box", "1,1,9,9"], "no box"),
        (["query", "--text", "cat", "--rerank"], "conv features"),
    ):
        teach_cats(shelf)
        done = shelf.run(*arguments)
        assert (done.exit_code, said in done.stderr) == (1, True), (arguments, done.output)
        assert "Traceback" not in done.output


def test_a_query_in_words(shelf: Shelf, tmp_path: Path) -> None:
    done = shelf.run("query", "--text", "espresso", "-k", 4, "--json")
    answer = json.loads(done.stdout)
    assert answer["query"] == {"path": None, "box": None, "text": "espresso"}
    assert [Path(h["path"]).name.split("-")[0] for h in answer["hits"]] == ["coffee"] * 4
    assert done.stderr == "Of the 1,000 names that the network knows: espresso\n"
    sheet, page = tmp_path / "sheet.jpg", tmp_path / "page.html"
    done = shelf.run("query", "--text", "tabby", "--montage", sheet, "--html", page)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("tabby · image search by fc")
    assert sheet.stat().st_size > 1000
    assert "Nearest to tabby" in page.read_text("utf-8")


def test_the_likeliest_classes(shelf: Shelf) -> None:
    rows = shelf.lines("tag", "--classes")
    assert len(rows) == len(NAMES)
    by_name = {Path(row["path"]).name: row["classes"] for row in rows}
    assert by_name["coffee-1.jpg"][0] == "espresso"
    assert all(len(names) == 3 for names in by_name.values())
    done = shelf.run("tag", "--classes")
    assert f"{shelf.path('coffee-1.jpg')}: espresso, " in done.stdout


def test_a_store_whose_fc_vectors_are_no_classes(
    cbir: Run, tmp_path: Path, with_random_weights: Callable[[str], None]
) -> None:
    from indexer.features.spec import FeatureSpec
    from indexer.store.store import Store

    del with_random_weights  # nothing is described: the spec alone decides
    Store.create(tmp_path / ".cbir", FeatureSpec.create("vgg16", regions="none")).close()
    for arguments in (["query", "--text", "cat"], ["tag", "--classes"]):
        done = cbir(*arguments, "--store", tmp_path / ".cbir")
        assert done.exit_code == 1
        assert "vgg16:fc7) are no scores of classes" in done.stderr
