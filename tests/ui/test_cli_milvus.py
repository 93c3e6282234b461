"""The commands on a store whose vectors are in Milvus, and what they say when they are not."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from indexer.store.config import StoreConfig
from tests.milvus import MilvusProcess
from tests.ui.conftest import Album

Cbir = Callable[..., Result]
NOWHERE = "milvus://me:open%20sesame@127.0.0.1:1/photos"


@pytest.fixture
def photos(album: Album, tmp_path: Path) -> Path:
    shutil.copytree(album.photos, tmp_path / "photos")
    return tmp_path / "photos"


def said(result: Result) -> str:
    """What a command said, which has no password in it; it had no traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit)
    said = result.stdout + result.stderr
    assert "sesame" not in said
    return said


def hits(cbir: Cbir, store: Path, query: Path) -> object:
    done = cbir("query", query, "--store", store, "--json", "--search", "region")
    return [{**hit, "path": Path(hit["path"]).name} for hit in json.loads(said(done))["hits"]]


def test_all_commands_work_with_the_store_alone(
    cbir: Cbir, album: Album, photos: Path, milvus: MilvusProcess
) -> None:
    store = photos.parent / "store"
    done = cbir("index", photos, "--store", store, "--vectors", milvus.url)
    assert done.exit_code == 0, said(done)
    config = store / "cbir.toml"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert (store / "catalog.sqlite").exists()
    assert not list((store / "vectors").iterdir())
    query = sorted(photos.glob("*.jpg"))[0]
    assert hits(cbir, store, query) == hits(cbir, album.store, query)
    infos = [json.loads(said(cbir("info", "--store", s, "--json"))) for s in (store, album.store)]
    for key in ("images", "vectors", "dimensions", "searched", "fingerprint"):
        assert infos[0][key] == infos[1][key], key
    assert cbir("doctor", "--store", store).exit_code == 0
    assert "in another database" in said(cbir("index", "--store", store, "--vectors", NOWHERE))
    before = milvus.collections()
    text = config.read_text("utf-8")
    done = cbir("index", photos, "--store", store, "--rebuild")
    assert done.exit_code == 0, said(done)
    assert config.read_text("utf-8").splitlines()[0] == text.splitlines()[0]  # the URL
    assert not {*before} & {*milvus.collections()}


def test_a_store_with_files_keeps_them(cbir: Cbir, album: Album) -> None:
    done = cbir("index", "--store", album.store, "--vectors", NOWHERE)
    assert done.exit_code == 1
    assert f"The vectors of the store at {album.store} are files" in said(done)


@pytest.mark.usefixtures("milvus")  # so that there is a driver
@pytest.mark.parametrize("joins", [False, True])
def test_a_server_that_cannot_be_used_is_named_and_leaves_nothing(
    cbir: Cbir, album: Album, photos: Path, monkeypatch: pytest.MonkeyPatch, joins: bool
) -> None:
    monkeypatch.setattr("indexer.store.vectors.milvus_server.CONNECT_S", 0.5)
    store = photos.parent / "store"
    what = ("--join", album.store) if joins else (photos,)
    done = cbir("index", *what, "--store", store, "--vectors", NOWHERE)
    assert done.exit_code == 1
    error = said(done)
    assert "in the Milvus database photos on 127.0.0.1:1, which cannot be used" in error
    assert "Check that the server runs, and the database, the user and the password" in error
    assert not (store / "cbir.toml").exists()
    assert not (store / "catalog.sqlite").exists()


def test_a_driver_that_is_missing_is_named(
    cbir: Cbir, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    done = cbir("index", photos, "--store", photos.parent / "store", "--vectors", NOWHERE)
    assert done.exit_code == 1
    assert "pip install 'cbir[milvus]'" in said(done)


@pytest.mark.parametrize(
    "url",
    ["http://u:open%20sesame@h", "milvus://", "milvus://h:x/d", "milvus://h/a/b", "no url", ""],
)
def test_what_is_no_url_of_milvus(cbir: Cbir, photos: Path, url: str) -> None:
    store = photos.parent / "store"
    done = cbir("index", photos, "--store", store, "--vectors", url)
    assert done.exit_code == 1
    assert "milvus://user:password@host:19530/database" in said(done)
    assert not (store / "cbir.toml").exists()


def test_no_server_of_somebody_else_is_connected_to(
    cbir: Cbir, album: Album, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(album.store, store)
    StoreConfig.create(None, NOWHERE).write(store)
    file = store / "cbir.toml"
    file.write_text(file.read_text("utf-8").replace("127.0.0.1", "127.0.0.2"), "utf-8")
    done = cbir("info", "--store", store)
    assert done.exit_code == 1
    assert "--trust" in said(done)
