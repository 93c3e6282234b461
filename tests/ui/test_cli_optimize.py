from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.desk import noisy_desk
from tests.ui.conftest import Album

Run = Callable[..., Result]


@pytest.fixture
def copy(album: Album, tmp_path: Path) -> Album:
    """An album that a test may change."""
    shutil.copytree(album.photos.parent, tmp_path / "copy")
    return Album(tmp_path / "copy" / "photos", tmp_path / "copy" / ".cbir", album.indexed)


def test_optimize(copy: Album, cbir: Run) -> None:
    cbir("remove", copy.photos / "coffee.jpg", "--store", copy.store)
    done = cbir("optimize", "--store", copy.store)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[:2] == ["conv: 3 vectors, exact", "fc: 3 vectors, exact"]


def test_whiten_rebuilds_the_index(tmp_path: Path, cbir: Run) -> None:
    desk = noisy_desk(tmp_path)
    desk.store.index_type = "balanced"
    desk.store.close()
    done = cbir("whiten", "--store", desk.store.path)
    assert done.exit_code == 0
    info = json.loads(cbir("info", "--store", desk.store.path, "--json").stdout)
    assert info["searched"]["region"]["index_type"] == "balanced"


def test_a_stopped_whitening_says_what_is_left(
    tmp_path: Path, cbir: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = noisy_desk(tmp_path)
    desk.store.close()

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    for place, left in (
        ("indexer.adapt.principal_axes", "The store is unchanged."),
        ("indexer.optimize._update", "cbir optimize"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, stop)
            done = cbir("whiten", "--store", desk.store.path)
        assert (done.exit_code, done.stdout) == (130, "")
        assert left in done.stderr
    with monkeypatch.context() as patch:
        patch.setattr("indexer.optimize._update", stop)
        done = cbir("optimize", "--store", desk.store.path)
    assert (done.exit_code, done.stdout) == (130, "")
    assert "run it again to continue" in done.stderr


def test_optimize_in_json(copy: Album, cbir: Run) -> None:
    done = cbir("optimize", "--store", copy.store, "--json")
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert [report["kind"] for report in reports] == ["conv", "fc", "region"]
    assert reports[0] == {
        **{"kind": "conv", "rows": 4, "index_type": "exact"},
        **{"nprobe": None, "recall": None},
    }


def test_index_type_and_info(copy: Album, cbir: Run) -> None:
    info = json.loads(cbir("info", "--store", copy.store, "--json").stdout)
    assert info["searched"] == {kind: {"index_type": "exact"} for kind in info["vectors"]}
    assert info["index_type"] == "auto"
    assert info["engine"] in ("openvino", "torch")

    done = cbir("index", copy.photos, "--store", copy.store, "--index", "balanced", "--json")
    assert (done.exit_code, len(done.stdout.splitlines())) == (0, 1)
    info = json.loads(cbir("info", "--store", copy.store, "--json").stdout)
    assert info["index_type"] == "balanced"
    region = info["searched"]["region"]
    assert (region["index_type"], region["rows"]) == ("balanced", info["vectors"]["region"])
    assert 0 < region["recall_at_10"] <= 1
    assert "balanced, recall@10" in cbir("info", "--store", copy.store).stdout

    query = cbir("query", copy.photos / "chelsea.jpg", "--store", copy.store, "--json")
    assert json.loads(query.stdout)["hits"][0]["path"].endswith("chelsea.jpg")

    # The choice stays, and `exact` takes it back.
    cbir("index", copy.photos, "--store", copy.store)
    assert (
        json.loads(cbir("info", "--store", copy.store, "--json").stdout)["searched"]
        == (info["searched"])
    )
    cbir("index", copy.photos, "--store", copy.store, "--index", "exact")
    info = json.loads(cbir("info", "--store", copy.store, "--json").stdout)
    assert info["searched"]["region"] == {"index_type": "exact"}


def test_an_unknown_index_type_is_a_usage_error(cbir: Run, here: Path) -> None:
    done = cbir("index", here, "--store", here / ".cbir", "--index", "nonsense")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "nonsense" in done.stderr
    assert not (here / ".cbir").exists()


def test_optimize_without_a_store(cbir: Run, here: Path) -> None:
    done = cbir("optimize", "--store", here / "none")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
