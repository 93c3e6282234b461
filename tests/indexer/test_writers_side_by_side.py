"""Writers for different folders of one store whose catalogue is in PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from PIL import Image

from indexer.build import index_photos
from indexer.diagnosis import examine
from indexer.errors import StoreLockedError
from indexer.features.extractor import FeatureExtractor
from indexer.run import IndexReport
from indexer.store.layout import VECTORS
from indexer.store.store import Store
from tests.colour_grid import colour_extractor, region_spec
from tests.desk import Desk
from tests.pictures import noise
from tests.postgres import Server

FOLDERS = ("a", "b")
PHOTOS = 40  # of a folder


@pytest.fixture
def desk(tmp_path: Path, postgres: Server) -> Iterator[Desk]:
    for seed, name in enumerate(FOLDERS):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(PHOTOS):
            picture = Image.fromarray(noise(1000 * seed + i, 60, 60))
            picture.save(tmp_path / "photos" / name / f"{i}.png")
    store = Store.create(tmp_path / ".cbir", region_spec("grid"), catalog_url=postgres.url)
    yield Desk(tmp_path / "photos", store)
    store.close()


@pytest.fixture
def other(desk: Desk) -> Iterator[Store]:
    store = Store.open(desk.store.path)
    yield store
    store.close()


def index(store: Store, folder: Path) -> IndexReport:
    def load() -> FeatureExtractor:
        return colour_extractor(spec=store.spec)

    return index_photos(store, [folder], load)


def test_two_folders_are_indexed_at_the_same_time(
    desk: Desk, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.build.COMMIT_IMAGES", 4)
    stores = (desk.store, other)
    with ThreadPoolExecutor() as threads:
        runs = [
            threads.submit(index, store, desk.photos / name)
            for store, name in zip(stores, FOLDERS, strict=True)
        ]
        reports = [run.result() for run in runs]
    assert [(r.added, r.failed) for r in reports] == [(PHOTOS, [])] * 2
    assert len(desk.paths()) == 2 * PHOTOS
    desk.check_vectors()
    diagnosis = examine(desk.store.path)
    assert diagnosis.is_clean, diagnosis.findings
    (desk.photos / "a" / "0.png").unlink()
    report = index(other, desk.photos)
    assert (report.unchanged, report.removed) == (2 * PHOTOS - 1, 1)


def test_folders_inside_each_other_have_one_writer(
    desk: Desk, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.store.catalog.postgres_database.GONE_S", 0.2)
    a, b = (desk.photos / name for name in FOLDERS)
    with desk.store.writing([a]):
        with other.writing([b]):
            pass
        for places in ([a], [b, a], [a / "deeper"], [desk.photos]):
            locked = pytest.raises(StoreLockedError, match="a folder in it or one above")
            with locked, other.writing(places):
                pass
        with pytest.raises(StoreLockedError, match="is writing to"), other.writing():
            pass
        with other.writing([b]):  # what was refused holds nothing
            pass
    with other.writing():
        pass


def test_who_changes_all_has_no_one_beside(
    desk: Desk, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.store.catalog.postgres_database.CLEANED_S", 0.2)
    locked = pytest.raises(StoreLockedError, match="changes all of")
    with desk.store.writing(), locked, other.writing([desk.photos]):
        pass
    with other.writing([desk.photos]):
        pass


def test_the_last_writer_deletes_what_is_left_over(desk: Desk, other: Store) -> None:
    a, b = (desk.photos / name for name in FOLDERS)
    with desk.store.writing([a]):
        half_written = desk.store.path / VECTORS / "00000077-region.ids.npy"
        half_written.touch()
        with other.writing([b]):
            assert half_written.is_file()
        assert half_written.is_file()
    assert not half_written.exists()


def test_commits_wait_for_each_other(desk: Desk, other: Store) -> None:
    a, b = (desk.photos / name for name in FOLDERS)
    before, begun = desk.store.commits(), Event()

    def commit_beside() -> int:
        with other.writing([b]):
            begun.set()
            return other.add_root(b)

    with desk.store.writing([a]), ThreadPoolExecutor() as threads:
        with desk.store.catalog.transaction() as change:
            first = change.add_root("a")
            later = threads.submit(commit_beside)
            assert begun.wait(10)
            with pytest.raises(TimeoutError):
                later.result(timeout=0.3)
        assert later.result(10) > first
    assert desk.store.commits() == before + 2
    assert len(desk.store.roots()) == 2
