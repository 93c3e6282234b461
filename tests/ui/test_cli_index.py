from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import Result

from indexer.store.store import Store
from tests.colour_grid import colour_spec
from tests.pictures import BLUE, RED, plain
from tests.ui.conftest import Album

Run = Callable[..., Result]


def test_index_reports_in_json(album: Album) -> None:
    assert album.indexed.exit_code == 0
    [line] = album.indexed.stdout.splitlines()
    report = json.loads(line)
    assert set(report) >= {
        *("added", "updated", "unchanged", "moved", "removed", "failed"),
        *("regions", "elapsed_s", "images_per_s"),
    }
    assert (report["added"], report["updated"], report["removed"]) == (4, 0, 0)
    [failed] = report["failed"]
    assert failed["path"] == str(album.photos / "shopping list.jpg")
    assert "not a readable image" in failed["reason"]


def test_index_again_finds_nothing_to_do(album: Album, cbir: Run) -> None:
    done = cbir("index", album.photos, "--store", album.store)
    assert done.exit_code == 0
    assert "4 unchanged, 1 failed" in done.stdout
    assert "shopping list.jpg" in done.stdout


def test_info(album: Album, cbir: Run) -> None:
    done = cbir("info", "--store", album.store, "--json")
    info = json.loads(done.stdout)
    assert (info["images"], len(info["failed"])) == (4, 1)
    regions = info["vectors"].pop("region")
    assert info["vectors"] == {"conv": 4, "fc": 4}
    assert regions == json.loads(album.indexed.stdout)["regions"] > 4 * 10
    assert info["spec"]["backbone"] == "efficientnet_lite0"
    assert info["roots"] == [str(album.photos)]
    assert len(info["fingerprint"]) == 64
    assert info["bytes_on_disk"] > 4 * 2 * 1280
    text = cbir("info", "--store", album.store).stdout
    assert "efficientnet_lite0" in text
    assert "shopping list.jpg" in text.replace("\n", "")


def test_remove(album: Album, cbir: Run, tmp_path: Path) -> None:
    shutil.copytree(album.photos.parent, tmp_path / "copy")
    store, photos = tmp_path / "copy" / ".cbir", tmp_path / "copy" / "photos"
    done = cbir("remove", photos / "coffee.jpg", "--store", store, "--json")
    assert json.loads(done.stdout) == {"removed": 1, "excluded": False}
    assert (photos / "coffee.jpg").is_file()
    again = cbir("remove", photos / "coffee.jpg", "--store", store)
    assert again.exit_code == 1
    assert again.stderr.startswith("Error: ")
    assert "Removed 3 images" in cbir("remove", photos, "--store", store).stdout


def test_backbones(cbir: Run) -> None:
    rows = [json.loads(line) for line in cbir("backbones", "--json").stdout.splitlines()]
    by_name = {row["name"]: row for row in rows}
    assert by_name["efficientnet_lite0"]["default"]
    assert by_name["efficientnet_lite0"]["present"]
    assert not by_name["vgg16"]["present"]
    assert "528 MB" in by_name["vgg16"]["missing"]
    assert by_name["vgg16"]["taps"]["fc7"]["channels"] == 4096
    text = cbir("backbones").stdout
    assert "alexnet" in text


@pytest.mark.parametrize(
    "options",
    [
        ["--pooling", "gem"],
        ["--size", "256"],
        ["--conv", "stage4"],
        ["--backbone", "resnet50"],
        ["--gem-p", "4"],
        ["--regions", "none"],
        ["--regions", "sliding"],
        ["--scales", "0.5,0.3"],
        ["--aspects", "2"],
        ["--overlap", "0.1"],
    ],
)
def test_other_features_than_the_store_has(album: Album, cbir: Run, options: list[str]) -> None:
    done = cbir("index", album.photos, "--store", album.store, *options)
    assert done.exit_code == 1
    assert options[1].split(",")[0] in done.stderr
    assert "--rebuild" in done.stderr


def test_the_features_that_the_store_has_may_be_named(album: Album, cbir: Run) -> None:
    same = ["--backbone", "efficientnet_lite0", "--pooling", "rmac", "--size", "320"]
    same += ["--regions", "grid", "--scales", "0.7,0.47,0.31", "--aspects", "1"]
    assert cbir("index", album.photos, "--store", album.store, *same).exit_code == 0


@pytest.mark.parametrize(
    "options",
    [
        ["--backbone", "vgg17"],
        ["--size", "7"],
        ["--conv", "nose"],
        ["--scales", "2"],
        ["--aspects", "0"],
        ["--overlap", "1"],
    ],
)
def test_names_that_do_not_exist_leave_no_store(here: Path, cbir: Run, options: list[str]) -> None:
    plain(here / "a.png", RED)
    done = cbir("index", here, *options)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: ")
    assert not (here / ".cbir").exists()


@pytest.mark.parametrize("options", [["--pooling", "median"], ["--regions", "rings"]])
def test_other_choices_are_usage_errors(here: Path, cbir: Run, options: list[str]) -> None:
    plain(here / "a.png", RED)
    done = cbir("index", here, *options)
    assert (done.exit_code, done.stdout) == (2, "")
    assert options[1] in done.stderr
    assert not (here / ".cbir").exists()


@pytest.mark.parametrize("place", ["nowhere", "bare"])
def test_places_without_images(here: Path, cbir: Run, place: str) -> None:
    (here / "bare").mkdir()
    done = cbir("index", place)
    assert done.exit_code == 1
    assert done.stderr.strip().startswith("Error: ")
    assert place in done.stderr


def test_a_first_run_that_failed_does_not_bind_the_next(here: Path, cbir: Run) -> None:
    plain(here / "photos" / "a.png", RED)
    assert cbir("index", "nowhere", "--pooling", "gem").exit_code == 1
    assert cbir("index", "photos").exit_code == 0
    assert json.loads(cbir("info", "--json").stdout)["spec"]["pooling"] == "rmac"


def test_a_short_run_away_from_a_terminal_says_nothing_on_stderr(
    here: Path, cbir: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.progress.LINE_EVERY_S", 1e9)  # however slow this machine is
    plain(here / "photos" / "a.png", RED)
    assert cbir("index", "photos").stderr == ""


def test_what_was_passed_over_is_told(here: Path, cbir: Run) -> None:
    photos = here / "photos"
    plain(photos / "a.png", RED)
    first = Image.new("RGB", (16, 16), RED)
    first.save(photos / "scan.tif", save_all=True, append_images=[first])
    for name in ("film.mp4", "clip.MP4", "README", "notes.txt"):
        (photos / name).write_text("no picture", "utf-8")
    plain(photos / "b.png", BLUE).rename(photos / "downloaded")
    done = cbir("index", "photos", "nowhere")
    assert done.exit_code == 0
    assert f"warning: {here / 'nowhere'}: There is no file or folder" in done.stdout
    assert "other files passed over: 5 (2 without a suffix, 2 .mp4, 1 .txt)" in done.stdout
    assert "further pages passed over: 1" in done.stdout
    report = json.loads(cbir("index", "photos", "--sniff", "--json").stdout)
    assert (report["added"], report["unchanged"]) == (1, 2)
    assert report["skipped"] == {"": 1, ".mp4": 2, ".txt": 1}
    assert report["warnings"] == []
    strict = cbir("index", "photos", "nowhere", "--strict")
    assert strict.exit_code == 1
    assert "nowhere" in strict.stderr


def test_rebuild_starts_anew_with_other_features(here: Path, cbir: Run) -> None:
    plain(here / "a.png", RED)
    Store.create(here / ".cbir", colour_spec()).close()
    done = cbir("index", here, "--rebuild", "--pooling", "mac", "--json")
    assert json.loads(done.stdout)["added"] == 1
    assert json.loads(cbir("info", "--json").stdout)["spec"]["pooling"] == "mac"


def test_rebuild_mends_a_damaged_store(here: Path, cbir: Run) -> None:
    plain(here / "a.png", RED)
    (here / ".cbir" / "vectors").mkdir(parents=True)
    (here / ".cbir" / "catalog.sqlite").write_bytes(b"This is not a database. " * 100)
    damaged = cbir("index", here)
    assert damaged.exit_code == 1
    assert "cbir index --rebuild" in damaged.stderr
    assert cbir("index", here, "--rebuild").exit_code == 0


def test_rebuild_never_deletes_photos(here: Path, cbir: Run) -> None:
    photo = plain(here / "photos" / "a.png", RED)
    assert cbir("index", "photos", "--store", "photos").exit_code == 0
    cbir("index", "photos", "--store", "photos", "--rebuild")
    assert photo.is_file()


def test_strict_and_retry(here: Path, cbir: Run) -> None:
    plain(here / "a.png", BLUE)
    (here / "b.jpg").write_text("no picture", "utf-8")
    assert cbir("index", here).exit_code == 0
    assert cbir("index", here, "--strict", "--retry-failed").exit_code == 1
    plain(here / "big.png", RED, (2000, 1000))
    done = cbir("index", here, "--max-megapixels", "1", "--exclude", "b.*", "--json")
    [failed] = json.loads(done.stdout)["failed"]
    assert failed["path"].endswith("big.png")


@pytest.mark.parametrize(
    "arguments",
    [
        ["index", ".", "--engine", "gpu"],
        ["index", ".", "--max-megapixels", "0"],
        ["index", ".", "--size", "large"],
        ["index", ".", "--scales", "large"],
        ["index", ".", "--scales", ""],
        ["index", ".", "--aspects", "1;2"],
        ["index", ".", "--nonsense"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_2(here: Path, cbir: Run, arguments: list[str]) -> None:
    plain(here / "a.png", RED)
    done = cbir(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert not (here / ".cbir").exists()


@pytest.mark.parametrize("size", ["1MB", "0.5 GiB", "2g"])
def test_a_budget_of_memory(here: Path, cbir: Run, size: str) -> None:
    for name in ("a.png", "b.png", "c.tif"):
        plain(here / "photos" / name, RED)
    done = cbir("index", "photos", "--memory", size, "--time-limit", "60", "--json")
    assert json.loads(done.stdout)["added"] == 3


@pytest.mark.parametrize("size", ["much", "0MB", "12", "-1GB"])
def test_a_size_that_is_none_is_a_usage_error(cbir: Run, size: str) -> None:
    done = cbir("index", "photos", "--memory", size)
    assert done.exit_code == 2
    assert "is not a size like 500MB or 2GB" in done.stderr.replace("\n", " ")
