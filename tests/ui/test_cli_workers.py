"""`cbir index` with many workers: shards, and joining them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from indexer.store.store import Store
from tests.pictures import RED, plain
from tests.sample import SAMPLE
from tests.store_contents import everything_in

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workers") / "photos"
    folder.mkdir()
    for path in sorted((SAMPLE / "images").iterdir())[:12]:
        shutil.copy(path, folder)
    (folder / "bad.jpg").write_text("milk", "utf-8")
    return folder


def report_of(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_two_shards_joined_are_what_one_process_makes(
    photos: Path, tmp_path: Path, cbir: Run
) -> None:
    parts = [tmp_path / "1", tmp_path / "2"]
    one, whole = tmp_path / "one", tmp_path / "whole"
    wanted = report_of(cbir("index", photos, "--store", one, "--json"))
    for part in parts:
        cbir("index", photos, "--shard", f"{part.name}/2", "--store", part)
    report = report_of(cbir("index", "--join", *parts, "--store", whole, "--json"))
    for name in ("added", "updated", "unchanged", "failed", "warnings", "regions"):
        assert report[name] == wanted[name], name
    assert report.keys() == wanted.keys()
    stores = [Store.open(place) for place in (one, whole)]
    assert everything_in(stores[0]) == everything_in(stores[1])
    for store in stores:
        store.close()
    for search in ("image", "region"):
        query = ("query", photos / "bricks-1.jpg", "--search", search, "-k", 20, "--json")
        hits = [report_of(cbir(*query, "--store", place))["hits"] for place in (one, whole)]
        assert hits[0] == hits[1]
        assert hits[0]
    again = report_of(cbir("index", "--join", *parts, "--store", whole, "--json"))
    assert (again["added"], again["unchanged"]) == (0, wanted["added"])


def test_a_store_tells_its_shard(photos: Path, tmp_path: Path, cbir: Run) -> None:
    place = tmp_path / "part"
    cbir("index", photos, "--shard", "2/3", "--store", place)
    done = cbir("index", "--shard", "1/3", "--store", place)
    assert done.exit_code == 1
    assert "shard 2/3" in done.stderr
    assert "shard 1/3" in done.stderr
    assert report_of(cbir("index", "--store", place, "--json"))["added"] == 0
    assert report_of(cbir("info", "--store", place, "--json"))["shard"] == "2/3"
    assert "2/3 of the files" in cbir("info", "--store", place).stdout


@pytest.mark.parametrize("shard", ["0/4", "5/4", "x"])
def test_what_is_no_shard(photos: Path, tmp_path: Path, cbir: Run, shard: str) -> None:
    done = cbir("index", photos, "--shard", shard, "--store", tmp_path / "part")
    assert done.exit_code == 2
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize("more", [("--rebuild",), ("--shard", "1/2"), ("--backbone", "vgg16")])
def test_what_does_not_go_with_join(tmp_path: Path, cbir: Run, more: tuple[str, ...]) -> None:
    done = cbir("index", "--join", tmp_path, "--store", tmp_path / "whole", *more)
    assert done.exit_code == 2
    assert f"{more[0]} does not go with --join" in done.stderr


def test_join_needs_stores(tmp_path: Path, cbir: Run) -> None:
    assert cbir("index", "--join", "--store", tmp_path / "whole").exit_code == 2
    done = cbir("index", "--join", tmp_path / "none", "--store", tmp_path / "whole")
    assert done.exit_code == 1
    assert f"no store at {tmp_path / 'none'}" in done.stderr
    assert not (tmp_path / "whole").exists()


def test_an_empty_shard_can_be_joined(tmp_path: Path, cbir: Run) -> None:
    plain(tmp_path / "photos" / "a.png", RED)
    for number in (1, 2):
        done = cbir(
            *("index", tmp_path / "photos", "--shard", f"{number}/2"),
            *("--store", tmp_path / f"{number}", "--regions", "none"),
        )
        assert done.exit_code == 0
    parts = [tmp_path / "1", tmp_path / "2"]
    report = report_of(cbir("index", "--join", *parts, "--store", tmp_path / "whole", "--json"))
    assert (report["added"], report["warnings"]) == (1, [])
