"""The commands on photos elsewhere: a bucket, and archives."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from indexer.sources import file_systems
from indexer.store.store import Store
from tests import s3
from tests.ui.conftest import Album

Run = Callable[..., Result]


@dataclass(frozen=True)
class Remote:
    """The photos of the album in a bucket, and the store of them."""

    bucket: s3.Bucket
    url: str
    store: Path
    indexed: Result


@pytest.fixture(scope="module")
def remote(
    s3_port: int, album: Album, cbir: Run, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Remote]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment(s3_port).items():
            patch.setenv(name, value)
        file_systems.forget("s3")
        bucket = s3.Bucket(s3_port, "commands")
        bucket.ask("PUT")
        bucket.put_folder(album.photos, "album")
        store = tmp_path_factory.mktemp("remote") / ".cbir"
        url = "s3://commands/album"
        yield Remote(bucket, url, store, cbir("index", url + "/", "--store", store, "--json"))
        file_systems.forget("s3")


@pytest.fixture
def unplugged(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody answers for S3."""
    assert remote.indexed.exit_code == 0
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(file_systems, "TRIES", 1)
    file_systems.forget("s3")
    yield
    monkeypatch.undo()
    file_systems.forget("s3")


@pytest.fixture
def own(remote: Remote, tmp_path: Path) -> Path:
    """A copy of the store, to be changed."""
    return Path(shutil.copytree(remote.store, tmp_path / ".cbir"))


def hits_of(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    hits: list[dict[str, Any]] = json.loads(done.stdout)["hits"]
    return hits


def test_a_bucket_is_indexed_as_its_folder_is(remote: Remote, album: Album) -> None:
    assert remote.indexed.exit_code == 0, remote.indexed.output
    there, here = json.loads(remote.indexed.stdout), json.loads(album.indexed.stdout)
    for counted in ("added", "unchanged", "regions", "skipped"):
        assert there[counted] == here[counted]
    assert [bad["path"] for bad in there["failed"]] == [f"{remote.url}/shopping list.jpg"]


def test_hits_and_queries_have_their_urls(remote: Remote, album: Album, cbir: Run) -> None:
    def ask(image: object, *options: object) -> list[dict[str, Any]]:
        return hits_of(cbir("query", image, "--store", remote.store, "--json", *options))

    by_file = ask(album.photos / "chelsea.jpg", "--verify")
    assert by_file[0]["path"] == f"{remote.url}/chelsea.jpg"
    assert (by_file[0]["score"], by_file[0]["missing"]) == (pytest.approx(1, abs=1e-3), False)
    assert by_file[0]["inliers"] is not None
    assert ask(f"{remote.url}/chelsea.jpg", "--verify") == by_file
    assert [hit["score"] for hit in ask(f"{remote.url}/chelsea.jpg")] == [
        hit["score"]
        for hit in hits_of(
            cbir("query", album.photos / "chelsea.jpg", "--store", album.store, "--json")
        )
    ]


def test_a_query_is_located_in_a_photo_from_there(remote: Remote, album: Album, cbir: Run) -> None:
    options = ("--store", remote.store, "--box", "80,40,240,200", "--json")
    there = cbir("localize", album.photos / "chelsea.jpg", f"{remote.url}/chelsea.jpg", *options)
    assert there.exit_code == 0, there.output
    assert json.loads(there.stdout)["target"] == f"{remote.url}/chelsea.jpg"
    here = cbir("localize", *[album.photos / "chelsea.jpg"] * 2, *options)
    assert json.loads(there.stdout)["box"] == json.loads(here.stdout)["box"]


def test_pages_and_sheets_show_pictures_from_there(
    remote: Remote, cbir: Run, tmp_path: Path
) -> None:
    page, sheet = tmp_path / "page.html", tmp_path / "sheet.png"
    options = ("--store", remote.store, "--html", page, "--montage", sheet)
    done = cbir("query", f"{remote.url}/coffee.jpg", *options)
    assert done.exit_code == 0, done.output
    assert f"{remote.url}/coffee.jpg" in page.read_text("utf-8")
    assert page.stat().st_size > 30_000
    assert sheet.stat().st_size > 30_000


def test_hits_from_there_are_fetched_and_what_cannot_be_is_named(
    remote: Remote, album: Album, cbir: Run, tmp_path: Path
) -> None:
    found = tmp_path / "found"
    asked = ("query", album.photos / "coffee.jpg", "--store", remote.store, "-k", 2)
    assert cbir(*asked, "--save-hits", found, "--link").exit_code == 0
    original = (album.photos / "coffee.jpg").read_bytes()
    assert (found / "001-coffee.jpg").read_bytes() == original
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        patch.setattr(file_systems, "TRIES", 1)
        file_systems.forget("s3")
        done = cbir(*asked, "--save-hits", tmp_path / "unplugged")
    file_systems.forget("s3")
    assert done.exit_code == 0
    assert f"Not saved: {remote.url}/coffee.jpg" in done.stderr
    assert "0 photos are in" in done.stderr
    assert [file.name for file in (tmp_path / "unplugged").iterdir()] == ["hits.csv"]


@pytest.mark.usefixtures("unplugged")
def test_an_export_goes_and_comes_without_the_bucket(
    remote: Remote, cbir: Run, tmp_path: Path
) -> None:
    assert cbir("export", tmp_path / "out", "--store", remote.store).exit_code == 0
    done = cbir("merge", tmp_path / "out", "--store", tmp_path / "new", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["added"] == json.loads(remote.indexed.stdout)["added"]


def test_info_and_doctor_name_the_url(remote: Remote, own: Path, album: Album, cbir: Run) -> None:
    assert json.loads(cbir("info", "--store", own, "--json").stdout)["roots"] == [remote.url]
    assert remote.url in cbir("info", "--store", own).stdout
    remote.bucket.put("album/extra.jpg", (album.photos / "coffee.jpg").read_bytes())
    assert json.loads(cbir("index", "--store", own, "--json").stdout)["added"] == 1
    remote.bucket.delete("album/extra.jpg")
    checked = cbir("doctor", "--store", own)
    assert checked.exit_code == 0
    assert f"1 photos are gone from {remote.url}" in " ".join(checked.output.split())
    assert json.loads(cbir("index", "--store", own, "--json").stdout)["removed"] == 1


def test_an_image_is_removed_by_its_url(remote: Remote, own: Path, cbir: Run) -> None:
    url = f"{remote.url}/coffee.jpg"
    done = cbir("remove", url, "--exclude", "--store", own, "--json")
    assert json.loads(done.stdout) == {"removed": 1, "excluded": True}
    assert json.loads(cbir("index", "--store", own, "--json").stdout)["added"] == 0
    assert cbir("remove", url, "--store", own).exit_code == 1


def test_photos_are_relocated_to_a_folder_an_archive_and_back(
    remote: Remote, own: Path, album: Album, cbir: Run, tmp_path: Path
) -> None:
    archive = shutil.make_archive(str(tmp_path / "album"), "zip", album.photos)
    for old, new in (
        (remote.url, album.photos),
        (album.photos, archive),
        (archive, remote.url),
    ):
        done = cbir("relocate", old, new, "--store", own, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["missing"] == []
        report = json.loads(cbir("index", "--store", own, "--json").stdout)
        assert (report["added"], report["removed"], report["regions"]) == (0, 0, 0)
    store = Store.open(own)
    assert [str(root) for root in store.roots().values()] == [remote.url]
    store.close()
    refused = cbir("relocate", remote.url, "s3://commands/nowhere", "--store", own)
    assert "nothing was changed" in refused.stderr


@pytest.mark.usefixtures("unplugged")
def test_what_is_away_is_not_forgotten_nor_an_error(
    remote: Remote, own: Path, album: Album, cbir: Run
) -> None:
    done = cbir("index", "--store", own)
    assert done.exit_code == 0
    assert f"warning: {remote.url}" in " ".join(done.output.lower().split())
    found = hits_of(
        cbir("query", album.photos / "coffee.jpg", "--verify", "--store", own, "--json")
    )
    assert found[0]["path"] == f"{remote.url}/coffee.jpg"
    failed = cbir("query", f"{remote.url}/coffee.jpg", "--store", own)
    assert (failed.exit_code, failed.stderr.count("\n")) == (1, 1)


def test_a_url_cannot_be_watched(remote: Remote, own: Path, cbir: Run) -> None:
    done = cbir("watch", remote.url, "--store", own)
    assert done.exit_code == 1
    assert "cbir index" in done.stderr


def test_somebody_elses_store_reads_no_url(
    remote: Remote,
    own: Path,
    album: Album,
    cbir: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    refused = cbir("query", album.photos / "coffee.jpg", "--store", own)
    assert refused.exit_code == 1
    assert "--trust" in refused.stderr
    assert cbir("query", album.photos / "coffee.jpg", "--store", own, "--trust").exit_code == 0
    assert remote.url in refused.stderr


def test_a_place_of_another_kind_is_an_error_in_one_line(cbir: Run, here: Path) -> None:
    for place in ("ftp://host/photos", "s3://me:secret@bucket/", "https://host/?key=secret"):
        done = cbir("index", place)
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "secret" not in done.output
    assert list(here.iterdir()) == []


def test_an_archive_is_indexed_and_queried_by_name(album: Album, cbir: Run, here: Path) -> None:
    shutil.make_archive("album", "tar", album.photos)
    assert json.loads(cbir("index", "album.tar", "--json").stdout)["added"] == 4
    [first, *_] = hits_of(cbir("query", "album.tar/coffee.jpg", "--json"))
    assert first["path"] == str(here / "album.tar" / "coffee.jpg")
    assert first["missing"] is False
    (here / "album.tar").unlink()
    [first, *_] = hits_of(cbir("query", album.photos / "coffee.jpg", "--json"))
    assert first["missing"] is True
