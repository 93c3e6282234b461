from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from indexer.errors import CbirError, StoreError, StoreNotFoundError
from indexer.store.places import is_store
from indexer.store.statistics import summarize
from indexer.store.store import Store
from tests.desk import Desk
from tests.pictures import plain, shades
from ui.api.application import routes
from ui.api.limits import Limits
from ui.api.service import Service
from ui.indexing_job import IndexingJob, first_index
from ui.opened import opened_store


def wait(job: IndexingJob) -> None:
    for _ in range(600):
        if not job.running:
            return
        time.sleep(0.05)
    raise TimeoutError("the job does not end")


def images_in(desk: Desk) -> int:
    return summarize(Store.open(desk.store.path)).images


def test_a_folder_is_indexed_and_told(desk: Desk) -> None:
    for i, colour in enumerate(shades(9)):
        plain(desk.photos / f"{i}.png", colour)
    (desk.photos / "bad.png").write_text("no picture", "utf-8")
    job = IndexingJob(desk.search(), desk.photos)
    wait(job)
    assert job.report is not None
    assert (job.report.added, len(job.report.failed)) == (9, 1)
    assert (job.error, job.stopped) == ("", False)


def test_what_comes_after_the_images_is_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.store.vectors.index_types.BALANCED_ROWS", 1)
    for i, colour in enumerate(shades(9)):
        plain(desk.photos / f"{i}.png", colour)
    job = IndexingJob(desk.search(), desk.photos)
    wait(job)
    assert "measuring the recall" in job.step.name
    assert (job.step.share, job.step.left_s) == (1, 0)


def test_a_stopped_job_keeps_what_is_done_and_goes_on(desk: Desk) -> None:
    for i, colour in enumerate(shades(200)):
        plain(desk.photos / f"{i}.png", colour)
    first = IndexingJob(desk.search(), desk.photos)
    first.stop()
    wait(first)
    done = images_in(desk)
    assert first.report is not None
    assert (first.stopped, first.report.added, done < 200) == (True, done, True)
    second = IndexingJob(desk.search(), desk.photos)
    wait(second)
    assert second.report is not None
    assert (second.report.added, second.report.unchanged) == (200 - done, done)
    assert images_in(desk) == 200


def test_what_cannot_be_indexed_is_told_in_a_sentence(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    job = IndexingJob(desk.search(), tmp_path / "empty")
    wait(job)
    assert "no images" in job.error
    with desk.store.writing():
        job = IndexingJob(desk.search(), desk.photos)
        wait(job)
    assert "Another process is writing" in job.error


def test_a_first_folder_is_found_without_a_restart(tmp_path: Path) -> None:
    store, photos = tmp_path / "new" / ".cbir", tmp_path / "photos"
    photos.mkdir()
    for i, colour in enumerate(shades(3)):
        plain(photos / f"{i}.png", colour)
    service = Service(store, Limits())
    api = TestClient(Starlette(routes=routes(service)))
    for path in ("/v1/store", "/v1/images", "/healthz", "/metrics"):
        refused = api.get(path)
        assert (refused.status_code, refused.json()["error"]) == (503, "StoreNotFoundError"), path
        assert "cbir index" in refused.json()["detail"]
    job = first_index(store, photos)
    wait(job)
    assert job.report is not None
    assert (job.report.added, job.error) == (3, "")
    assert api.get("/v1/store").json()["images"] == 3
    found = api.post("/v1/search", json={"image_id": 1, "k": 3})
    assert (found.status_code, len(found.json()["hits"])) == (200, 3)
    service.close()


def test_a_first_folder_without_images_leaves_no_store(tmp_path: Path) -> None:
    store, photos = tmp_path / ".cbir", tmp_path / "photos"
    photos.mkdir()
    job = first_index(store, photos)
    wait(job)
    assert "no images" in job.error
    assert not is_store(store)
    with pytest.raises(StoreNotFoundError):
        opened_store(store)
    plain(photos / "red.png", (200, 0, 0))
    wait(again := first_index(store, photos))
    assert again.report is not None
    assert again.report.added == 1


def test_a_first_folder_needs_a_place_without_a_store(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="already"):
        first_index(desk.store.path, desk.photos)
    (tmp_path / "file").write_text("milk, bread", "utf-8")
    with pytest.raises(StoreError, match="No store can be created"):
        first_index(tmp_path / "file" / ".cbir", desk.photos)


def test_a_store_is_never_seen_half_made(tmp_path: Path) -> None:
    store, photos = tmp_path / ".cbir", tmp_path / "photos"
    photos.mkdir()
    ended = threading.Event()
    seen: set[str] = set()

    def look() -> None:
        while not ended.is_set():
            try:
                summarize(opened_store(store).engine.store)
                seen.add("a store")
            except CbirError as error:
                seen.add(type(error).__name__)

    looking = [threading.Thread(target=look) for _ in range(3)]
    for thread in looking:
        thread.start()
    plain(photos / "red.png", (200, 0, 0))
    wait(first_index(store, photos))
    ended.set()
    for thread in looking:
        thread.join(60)
    assert seen == {"StoreNotFoundError", "a store"}
