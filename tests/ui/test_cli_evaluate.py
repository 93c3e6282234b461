"""`cbir eval classify`, `layers`, `localize` and `segment`, from labelled images to reports."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from indexer.store.store import Store
from tests.pictures import plain, shades
from tests.retrieval.test_localization import discs
from ui.cli import app

__all__ = ["discs"]  # a fixture


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def lines(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Three kinds of a colour each; two images lie about theirs."""
    folder = tmp_path / "pets"
    for number, name in enumerate(("cat", "dog", "<b>fish")):
        for i in range(8):
            red, green, blue = shades(3)[number]
            plain(folder / name / f"{i}.png", (red, green, (blue + i) % 256), (64, 48 + i))
    return folder


def test_every_kind_of_features_in_one_table(pets: Path) -> None:
    done = run(
        *("eval", "classify", pets, "--size", 64, "--tap", "head", "--tap", "fc", "--json"),
        *("--baseline", "colours", "--baseline", "bow", "--baseline", "scratch"),
        *("--scratch-epochs", 1, "--per-class", 2, "--seeds", 2),
    )
    rows = lines(done)
    names = {(row["features"], row["per_class"]) for row in rows}
    probes = ("head rmac", "fc", "head rmac + fc", "colour histogram", "bag of words")
    assert names >= {(name, count) for name in probes for count in (2, None)}
    [scratch] = [row for row in rows if row["features"].startswith("from scratch, 1 epochs")]
    assert scratch["backbone"] == "efficientnet_lite0"
    assert scratch["model"] is None
    assert scratch["elapsed_s"] > 0
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in rows)
    assert {row["seeds"] for row in rows} == {2}  # the split is by chance


def test_folds_and_the_area_under_the_curve(pets: Path) -> None:
    done = run(
        *("eval", "classify", pets, "--size", 64, "--tap", "head", "--folds", 4, "--figure", "AUC"),
        "--json",
    )
    rows = lines(done)
    assert {row["training_images"] for row in rows} == {18}
    assert all(row["AUC"] > 80 for row in rows)


def test_a_page_a_confusion_matrix_and_a_plot(pets: Path, tmp_path: Path) -> None:
    # A cat among the fish is taken for a cat.
    (pets / "cat" / "0.png").rename(pets / "<b>fish" / "really a cat.png")
    page, matrix, plot = (tmp_path / name for name in ("page.html", "matrix.csv", "plot.png"))
    done = run(
        *("eval", "classify", pets, "--size", 64, "--tap", "head", "--test-share", 0.9),
        *("--html", page, "--confusion", matrix, "--plot", plot),
    )
    assert done.exit_code == 0, done.output
    assert "head rmac" in done.stdout
    text = page.read_text("utf-8")
    assert "&lt;b&gt;fish" in text
    assert "<b>fish" not in text
    assert "really a cat.png" in text
    assert "taken for cat" in text
    assert 'src="http' not in text
    rows = list(csv.reader(matrix.read_text("utf-8").splitlines()))
    assert rows[0] == ["right class", "<b>fish", "cat", "dog"]
    assert sum(int(count) for row in rows[1:] for count in row[1:]) > 15
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert run(
        *("eval", "classify", pets, "--size", 64, "--tap", "head", "--plot", tmp_path / "x.doc")
    ).stderr.startswith("Error: Plots are written as .png or .svg")


def test_the_vectors_of_a_store(pets: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert run("index", pets, "--store", store, "--size", 64, "--regions", "none").exit_code == 0
    plain(pets / "cat" / "new.png", (1, 2, 3))
    done = run("eval", "classify", pets, "--store", store, "--json")
    assert {row["features"] for row in lines(done)} == {
        *("head rmac", "fc", "head rmac + fc", "colour histogram")
    }
    assert "new.png" in done.stderr
    assert "has no vectors of it" in done.stderr
    assert run("eval", "classify", pets, "--store", tmp_path / "none").exit_code == 1


def test_layers_recommend_a_spec_that_index_accepts(pets: Path, tmp_path: Path) -> None:
    spec, plot = tmp_path / "spec.json", tmp_path / "layers.svg"
    done = run(
        *("eval", "layers", pets, "--size", 64, "--pooling", "spoc", "--spec", spec),
        *("--plot", plot),
    )
    assert done.exit_code == 0, done.output
    assert "retrieval: mAP in per cent" in done.stdout
    assert "classification: accuracy in per cent" in done.stdout
    assert "<svg" in plot.read_text("utf-8")
    store = tmp_path / "store"
    done = run("index", pets, "--store", store, "--spec", spec, "--regions", "none", "--json")
    assert done.exit_code == 0, done.output
    chosen = json.loads(spec.read_text("utf-8"))
    opened = Store.open(store)
    assert (opened.spec.conv, opened.spec.size_px) == (chosen["conv"], chosen["size_px"])
    opened.close()


def test_layers_as_json(pets: Path) -> None:
    done = run(
        *("eval", "layers", pets, "--size", 64, "--tap", "stage2", "--pooling", "spoc", "--json"),
        *("--task", "retrieval", "--no-whiten"),
    )
    *rows, last = lines(done)
    assert [row["tap"] for row in rows] == ["head", "stage2"]  # the default, and what was asked
    assert all(row["task"] == "retrieval" for row in rows)
    assert last["default"]["tap"] == "head"
    assert set(last) == {"recommended", "best", "default", "gain", "gain_low", "gain_high"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[", "cannot be read"),
        ("[1]", "not a JSON object"),
        ('{"colour": 1}', "unknown 'colour'"),
        ('{"size_px": "big"}', "'big' for size_px"),
        ('{"size_px": true}', "True for size_px"),
        ('{"scales": [1, "x"]}', "for scales"),
        ('{"conv": "nowhere"}', "no tap 'nowhere'"),
        ('{"backbone": "nothing"}', "no backbone 'nothing'"),
    ],
)
def test_a_spec_that_is_not_valid(pets: Path, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "spec.json").write_text(text, "utf-8")
    done = run("index", pets, "--store", tmp_path / "s", "--spec", tmp_path / "spec.json")
    assert done.exit_code == 1
    assert told in done.stderr


def test_localize_and_segment(discs: Path) -> None:  # the fixture above
    for command, figure in (("localize", "CorLoc"), ("segment", "IoU ≥ 0.5")):
        rows = lines(run("eval", command, discs, "--size", 96, "--tap", "stage4", "--json"))
        assert [row["way"] for row in rows] == [
            *("concept", "centred box", "whole image", "random box")
        ]
        assert all(0 <= row["iou_low"] <= row["iou"] <= row["iou_high"] <= 100 for row in rows)
        table = run("eval", command, discs, "--size", 96, "--tap", "stage4")
        assert figure in table.stdout


@pytest.mark.parametrize("command", ["classify", "layers", "localize", "segment"])
def test_what_cannot_be_measured(command: str, tmp_path: Path) -> None:
    done = run("eval", command, tmp_path / "nothing")
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.output
    assert run("eval", command, tmp_path, "--voc-lists", "train").exit_code == 2


def test_images_of_several_labels_have_no_accuracy(tmp_path: Path) -> None:
    home = tmp_path / "VOC2007" / "ImageSets" / "Main"
    home.mkdir(parents=True)
    for part in ("train", "val"):
        for name in ("a", "b"):
            (home / f"{name}_{part}.txt").write_text(f"{part}1 1\n{part}2 -1\n", "utf-8")
    done = run("eval", "classify", tmp_path, "--figure", "accuracy")
    assert "measure mAP" in done.stderr
