from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from indexer.errors import InvalidLabelsError
from retrieval.evaluation.datasets import read_dataset
from retrieval.evaluation.labelled import read_labelled
from retrieval.evaluation.metrics import (
    average_precision,
    interpolated_average_precision,
    ranked_average_precision,
)
from retrieval.evaluation.voc import fetch_voc, read_voc
from tests.pictures import plain, shades
from ui.cli import app

LISTS = {
    "dog_train.txt": "000001  1\n000002 -1\n000003  0\n",
    "dog_val.txt": "000004  1\n000005 -1\n",
    "cat_train.txt": "000001 -1\n000002  1\n000003 -1\n",
    "cat_val.txt": "000004  1\n000005 -1\n",
}


def voc(folder: Path) -> Path:
    home = folder / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main"
    home.mkdir(parents=True)
    for name, text in LISTS.items():
        (home / name).write_text(text, "utf-8")
    return folder


def test_the_lists_of_voc(tmp_path: Path) -> None:
    images = read_voc(voc(tmp_path))
    assert images.classes == ("cat", "dog")
    assert [path.stem for path in images.paths] == [f"00000{n}" for n in range(1, 6)]
    assert images.paths[0].parent.name == "JPEGImages"
    # The third shows difficult dogs only: that is not counted.
    assert images.labels.tolist() == [[0, 1], [1, 0], [0, -1], [1, 1], [0, 0]]
    assert images.is_train.tolist() == [True, True, True, False, False]
    assert (len(images), images.exclusive) == (5, False)


def test_a_folder_that_is_not_voc(tmp_path: Path) -> None:
    with pytest.raises(InvalidLabelsError, match="ImageSets/Main"):
        read_voc(tmp_path)
    with pytest.raises(InvalidLabelsError, match="dog_nonsense"):
        read_voc(voc(tmp_path), train="nonsense")


@pytest.mark.parametrize("text", ["000001 yes\n", "000001\n", "\x00"])
def test_a_list_that_is_not_valid(tmp_path: Path, text: str) -> None:
    home = voc(tmp_path) / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main"
    (home / "dog_val.txt").write_text(text, "utf-8")
    with pytest.raises(InvalidLabelsError, match=r"dog_val\.txt"):
        read_voc(tmp_path)


def test_average_precision_by_hand() -> None:
    assert average_precision([True, False, True], 2) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision([False, True], 4) == pytest.approx(0.5 / 4)
    with pytest.raises(ValueError, match="at least one positive"):
        average_precision([False], 0)


def test_ranked_by_scores_without_what_does_not_count() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    labels = np.array([1, -1, 0, 1], np.int8)
    assert ranked_average_precision(scores, labels) == pytest.approx((1 + 2 / 3) / 2)


def test_eleven_points_by_hand() -> None:
    # Precision 1 up to a recall of 0.5, 2/3 at 1: six points and five.
    scores, labels = np.array([3.0, 2.0, 1.0]), np.array([1, 0, 1], np.int8)
    assert interpolated_average_precision(scores, labels) == pytest.approx((6 + 5 * 2 / 3) / 11)
    assert interpolated_average_precision(-scores, labels) == pytest.approx((6 + 5 * 2 / 3) / 11)
    perfect = np.array([1, 1, 0], np.int8)
    assert interpolated_average_precision(scores, perfect) == pytest.approx(1)


def test_voc_as_torchvision_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CBIR_CACHE", str(tmp_path / "cache"))
    home = tmp_path / "cache" / "VOC2007" / "VOCdevkit" / "VOC2007"
    lists = home / "ImageSets" / "Main"
    for folder in (lists, home / "JPEGImages", home / "Annotations"):
        folder.mkdir(parents=True)
    for part, names in (("trainval", "000001 000002"), ("test", "000003 000004")):
        first, second = names.split()
        (lists / f"{part}.txt").write_text(f"{first}\n{second}\n", "utf-8")
        (lists / f"dog_{part}.txt").write_text(f"{first} 1\n{second} -1\n", "utf-8")
        (lists / f"cat_{part}.txt").write_text(f"{first} -1\n{second} 1\n", "utf-8")
    [images] = read_dataset(Path("VOC2007"))
    assert images.name == "VOC2007 trainval -> test"
    assert images.is_train.tolist() == [True, True, False, False]
    assert images.paths[0] == home / "JPEGImages" / "000001.jpg"


def test_voc_that_cannot_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torchvision.datasets

    def refuse(*_: object, **options: bool) -> None:
        assert options["download"]
        raise OSError("no network")

    monkeypatch.setattr(torchvision.datasets, "VOCDetection", refuse)
    with pytest.raises(InvalidLabelsError, match=r"cannot be fetched.*no network"):
        fetch_voc(tmp_path / "voc")


# --- other labelled images -------------------------------------------------------------------


def album(folder: Path, **counts: int) -> Path:
    for number, (name, count) in enumerate(counts.items()):
        for i in range(count):
            plain(folder / name / f"{i}.png", shades(len(counts))[number], (40 + i, 32))
    return folder


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    images = read_labelled(album(tmp_path / "pets", cat=6, dog=4), test_share=0.5)
    assert (images.name, images.classes, images.exclusive) == ("pets", ("cat", "dog"), True)
    assert images.labels.sum(axis=0).tolist() == [6, 4]
    assert images.labels[images.is_train].sum(axis=0).tolist() == [3, 2]
    again = read_labelled(tmp_path / "pets", test_share=0.5)
    assert np.array_equal(images.is_train, again.is_train)
    other = read_labelled(tmp_path / "pets", test_share=0.5, seed=5)
    assert not np.array_equal(images.is_train, other.is_train)


def test_a_csv_file_with_and_without_splits(tmp_path: Path) -> None:
    lines = ["path,label,split", "a/1.png,a,train", "a/2.png,a,test", "b 1.png,b,train"]
    file = tmp_path / "list.csv"
    file.write_text("\ufeff" + "\n".join([*lines, "b2.png,b,test"]), "utf-8")
    images = read_labelled(file)
    assert [p.relative_to(tmp_path).as_posix() for p in images.paths] == [
        *("a/1.png", "a/2.png", "b 1.png", "b2.png")
    ]
    assert images.is_train.tolist() == [True, False, True, False]
    file.write_text("path,label\n1.png,a\n2.png,a\n3.png,b\n4.png,b\n", "utf-8")
    assert read_labelled(file).is_train.sum() == 2


def test_a_manifest_with_splits(tmp_path: Path) -> None:
    labels = {"1.png": 0, "2.png": 0, "3.png": 1, "4.png": 1, "5.png": 1}
    splits = {"train": ["1.png", "3.png"], "test": ["2.png", "4.png"], "iconic": ["5.png"]}
    file = tmp_path / "manifest.json"
    file.write_text(json.dumps({"images": "images", "labels": labels, "splits": splits}), "utf-8")
    images = read_labelled(file)
    assert [path.name for path in images.paths] == ["1.png", "2.png", "3.png", "4.png"]
    assert images.paths[0].parent == tmp_path / "images"
    assert images.is_train.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.csv", "file,label\n1.png,a\n", "columns path and label"),
        ("x.csv", "path,label\n1.png,a\n2.png,a\n", "only one class"),
        ("x.csv", "path,label\n1.png,a\n2.png,b\n", "at least two images"),
        ("x.csv", "path,label,split\n1.png,a,train\n2.png,b,test\n", "no image of b"),
        ("x.json", "[]", "manifest"),
        ("x.json", '{"images": ".", "labels": 7, "splits": {}}', "manifest"),
        ("x.txt", "hello", "neither a folder"),
    ],
)
def test_labels_that_are_not_valid(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(InvalidLabelsError, match=told):
        read_labelled(tmp_path / name)


# --- cbir eval classify ----------------------------------------------------------------------


def test_classify_by_every_tap(tmp_path: Path) -> None:
    folder = album(tmp_path / "pets", cat=6, dog=6)
    (folder / "cat" / "broken.png").write_bytes(b"no image")
    done = CliRunner().invoke(app, ["eval", "classify", str(folder), "--size", "64", "--json"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    names = {row["features"] for row in rows}
    assert {"colour histogram", "fc", "head rmac"} <= names
    assert "Left out" in done.stderr
    best = {row["features"]: row["accuracy"] for row in rows}
    assert best["colour histogram"] == 100
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
    table = CliRunner().invoke(
        app, ["eval", "classify", str(folder), "--size", "64", "--tap", "fc", "--per-class", "2"]
    )
    assert table.exit_code == 0, table.output
    assert "accuracy %" in table.stdout


def test_classify_what_is_not_labelled(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["eval", "classify", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
