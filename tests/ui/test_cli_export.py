from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from tests.ui.conftest import Album


def test_export_and_merge(cbir: Callable[..., Result], album: Album, tmp_path: Path) -> None:
    done = cbir("export", tmp_path / "out", "--store", album.store)
    assert done.exit_code == 0
    assert "Exported" in done.stdout
    assert "conv vectors" in done.stdout
    new = tmp_path / "new" / ".cbir"
    merged = cbir("merge", tmp_path / "out", album.store, "--store", new, "--json")
    assert merged.exit_code == 0
    added = json.loads(merged.stdout)["added"]
    assert added == json.loads(album.indexed.stdout)["added"]
    assert "Store:" in cbir("merge", tmp_path / "out", "--store", new).stdout
    command = ("query", album.photos / "coffee.jpg", "-k", 5, "--json", "--store")
    found = [json.loads(cbir(*command, store).stdout)["hits"] for store in (album.store, new)]
    for hits in found:
        for hit in hits:
            del hit["image_id"]
    assert found[0] == found[1]


def test_export_as_json(cbir: Callable[..., Result], album: Album, tmp_path: Path) -> None:
    options = ("--format", "numpy", "--kind", "conv", "--where", "name:coffee*", "--json")
    done = cbir("export", tmp_path / "out", "--store", album.store, *options)
    told = json.loads(done.stdout)
    assert (told["images"], told["rows"], told["format"]) == (1, {"conv": 1}, "numpy")
    files = [file for file in (tmp_path / "out").iterdir() if file.name != "export.json"]
    assert told["bytes"] == sum(file.stat().st_size for file in files)


def test_faults_are_told(cbir: Callable[..., Result], album: Album, tmp_path: Path) -> None:
    store = ("--store", album.store)
    for command in (
        ("export", album.photos, *store),
        ("export", tmp_path / "out", *store, "--where", "nose"),
        ("export", tmp_path / "out", *store, "--kind", "nose"),
        ("merge", album.photos, "--store", tmp_path / "new"),
    ):
        done = cbir(*command)
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: ")
    assert (
        "No image meets the filter"
        in cbir("export", tmp_path / "out", *store, "--where", "name:nose").stderr
    )
