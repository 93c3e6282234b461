"""Hits as one ZIP file."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest
from typer.testing import Result

from indexer.store.reader import StoreReader
from retrieval.query import Hit
from tests.ui.conftest import Album
from ui import zipped_hits
from ui.saved_hits import save_hits
from ui.zipped_hits import SelectionTooLargeError, legible, require_bounded, zip_hits


@pytest.fixture
def store(album: Album) -> StoreReader:
    return StoreReader.open(album.store)


@pytest.fixture
def hits(store: StoreReader) -> list[Hit]:
    infos = store.image_infos([1, 2, 3]).values()
    return [Hit(rank, info.id, info.path, 0.5) for rank, info in enumerate(infos, 1)]


def test_it_holds_what_is_saved_in_a_folder(
    store: StoreReader, hits: list[Hit], tmp_path: Path
) -> None:
    save_hits(tmp_path / "saved", hits)
    with ZipFile(zip_hits(hits, [*store.roots().values()])) as archive:
        assert archive.testzip() is None
        zipped = {name: archive.read(name) for name in archive.namelist()}
    assert zipped == {file.name: file.read_bytes() for file in (tmp_path / "saved").iterdir()}


def test_photos_that_cannot_be_had_are_told_in_the_table(
    store: StoreReader, hits: list[Hit], tmp_path: Path
) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"outside")
    gone = replace(hits[0], path=hits[0].path.parent / "gone.jpg")
    outside = replace(hits[1], path=tmp_path / "secret.jpg")
    with ZipFile(zip_hits([gone, outside, hits[2]], [*store.roots().values()])) as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("hits.csv"), "utf-8")))
        assert len(archive.namelist()) == 2
    assert ["gone" in rows[0]["note"], "outside" in rows[1]["note"]] == [True, True]
    assert rows[2]["file"] in archive.namelist()


def test_more_than_a_zip_file_takes_is_refused(
    store: StoreReader, hits: list[Hit], monkeypatch: pytest.MonkeyPatch
) -> None:
    require_bounded(store, hits)
    require_bounded(store, [hits[0]] * 500)
    with pytest.raises(SelectionTooLargeError, match="501 photos are picked"):
        require_bounded(store, [hits[0]] * 501)
    monkeypatch.setattr(zipped_hits, "MAX_BYTES", 10_000)
    with pytest.raises(SelectionTooLargeError, match="a ZIP file takes 0 MB"):
        require_bounded(store, hits)
    with pytest.raises(SelectionTooLargeError, match="a ZIP file takes 0 MB"):
        zip_hits(hits, [*store.roots().values()])


def test_names_that_are_no_unicode_are_replaced(
    tmp_path: Path, cbir: Callable[..., Result], album: Album
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    name = os.fsdecode(b"caf\xe9.jpg")
    (photos / name).write_bytes((album.photos / "coffee.jpg").read_bytes())
    done = cbir("index", photos, "--store", tmp_path / ".cbir", "--regions", "none")
    assert done.exit_code == 0, done.output
    store = StoreReader.open(tmp_path / ".cbir")
    hit = Hit(1, 1, store.image_infos([1])[1].path, 1.0)
    require_bounded(store, [hit])
    with ZipFile(zip_hits([hit], [photos])) as archive:
        assert sorted(archive.namelist()) == ["001-caf\ufffd.jpg", "hits.csv"]
    assert legible("plain.jpg") == "plain.jpg"
