"""The commands on a store whose catalogue is in PostgreSQL, and what they say when it is not."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.postgres import PASSWORD, Server
from tests.ui.conftest import Album

Cbir = Callable[..., Result]


@pytest.fixture
def photos(album: Album, tmp_path: Path) -> Path:
    shutil.copytree(album.photos, tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def indexed(cbir: Cbir, photos: Path, postgres: Server) -> Path:
    store = photos.parent / "store"
    done = cbir("index", photos, "--store", store, "--catalog", postgres.url)
    assert done.exit_code == 0, done.output
    return store


def said(result: Result) -> str:
    """What a command said, which has no password in it; it had no traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit)
    said = result.stdout + result.stderr
    assert PASSWORD not in said
    assert PASSWORD.replace(" ", "%20") not in said
    return said


def hits(cbir: Cbir, store: Path, query: Path) -> object:
    done = cbir("query", query, "--store", store, "--json", "--search", "region")
    return [{**hit, "path": Path(hit["path"]).name} for hit in json.loads(said(done))["hits"]]


def test_all_commands_work_with_the_store_alone(
    cbir: Cbir, album: Album, indexed: Path, photos: Path
) -> None:
    config = indexed / "cbir.toml"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert not (indexed / "catalog.sqlite").exists()
    query = sorted(photos.glob("*.jpg"))[0]
    assert hits(cbir, indexed, query) == hits(cbir, album.store, query)
    infos = [
        json.loads(said(cbir("info", "--store", store, "--json")))
        for store in (indexed, album.store)
    ]
    for info in infos:
        for key in ("bytes_on_disk", "store", "roots"):
            info.pop(key)
        info["failed"] = [Path(item["path"]).name for item in info["failed"]]
    assert infos[0] == infos[1]
    assert cbir("doctor", "--store", indexed).exit_code == 0
    again = cbir("index", "--store", indexed, "--json")
    assert json.loads(again.stdout)["unchanged"] == infos[0]["images"]
    assert "removed" in said(cbir("remove", query, "--store", indexed, "--json"))
    said(cbir("optimize", "--store", indexed))


def test_a_store_built_again_stays_in_its_database(
    cbir: Cbir, indexed: Path, photos: Path, postgres: Server
) -> None:
    before = (indexed / "cbir.toml").read_text("utf-8")
    done = cbir("index", photos, "--store", indexed, "--rebuild")
    assert done.exit_code == 0, said(done)
    after = (indexed / "cbir.toml").read_text("utf-8")
    assert before.splitlines()[0] == after.splitlines()[0]  # the URL
    assert before.splitlines()[1] != after.splitlines()[1]  # the schema
    assert "another database" in said(
        cbir("index", photos, "--store", indexed, "--catalog", postgres.url_of("other"))
    )


def test_a_store_with_a_file_keeps_it(cbir: Cbir, album: Album, postgres: Server) -> None:
    done = cbir("index", "--store", album.store, "--catalog", postgres.url)
    assert done.exit_code == 1
    assert "is the file catalog.sqlite" in said(done)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda server: server.url_of("wrong"), "password authentication failed"),
        (lambda server: server.url_of(PASSWORD, "none"), 'database "none" does not exist'),
        (lambda server: server.url.replace(str(server.port), "1"), "refused"),
        (lambda server: server.url.replace("127.0.0.1", "none.invalid"), "cannot be reached"),
    ],
    ids=["password", "database", "port", "host"],
)
def test_a_database_that_cannot_be_used_is_named_and_leaves_nothing(
    cbir: Cbir, photos: Path, postgres: Server, change: Callable[[Server], str], reason: str
) -> None:
    store = photos.parent / "store"
    done = cbir("index", photos, "--store", store, "--catalog", change(postgres))
    assert done.exit_code == 1
    error = said(done)
    assert reason in error
    assert "Check that the server runs, and the database, the user and the password" in error
    assert "127.0.0.1" in error or "none.invalid" in error
    assert not (store / "cbir.toml").exists()
    assert cbir("index", photos, "--store", store, "--catalog", postgres.url).exit_code == 0


@pytest.mark.parametrize(
    "url",
    ["mysql://u:open%20sesame@h/d", "postgresql://u:open%20sesame@h", "no url", "a:b:c@d", ""],
)
def test_what_is_no_url_of_postgresql(cbir: Cbir, photos: Path, url: str) -> None:
    done = cbir("index", photos, "--store", photos.parent / "store", "--catalog", url)
    assert done.exit_code == 1
    assert "postgresql://user:password@host/database" in said(done)


def test_a_server_that_is_not_there(
    cbir: Cbir, indexed: Path, photos: Path, postgres: Server
) -> None:
    query = sorted(photos.glob("*.jpg"))[0]
    before = hits(cbir, indexed, query)
    postgres.stop()
    try:
        for command in (
            ("query", query),
            ("info",),
            ("doctor",),
            ("doctor", "--repair"),
            ("index", photos),
            ("index", photos, "--rebuild"),
            ("remove", query),
        ):
            done = cbir(*command, "--store", indexed)
            assert done.exit_code == 1, command
            assert f"127.0.0.1:{postgres.port}, which cannot be reached" in said(done), command
    finally:
        postgres.start()
    assert hits(cbir, indexed, query) == before
