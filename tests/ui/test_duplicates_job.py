"""Searching for duplicates beside a server."""

from __future__ import annotations

import shutil
import time

from indexer.store.store import Store
from tests.desk import Desk
from tests.pictures import PHOTOS, photo
from ui.duplicates_job import DuplicatesJob
from ui.jobs import Job


def wait(job: Job) -> None:
    for _ in range(600):
        if not job.running:
            return
        time.sleep(0.05)
    raise TimeoutError("the job does not end")


def fill(desk: Desk) -> None:
    for name in PHOTOS[:3]:
        photo(name).resize((320, 240)).save(desk.photos / f"{name}.png")
    shutil.copy(desk.photos / f"{PHOTOS[0]}.png", desk.photos / "again.png")
    desk.index()


def test_duplicates_are_found_beside_a_server(desk: Desk) -> None:
    fill(desk)
    job = DuplicatesJob(desk.search())
    wait(job)
    assert job.found is not None
    assert [group.kind for group in job.found.groups] == ["bytes"]
    assert (job.found.compared, job.error, job.stopped, job.step.share) == (4, "", False, 1.0)


def test_some_images_are_compared(desk: Desk) -> None:
    fill(desk)
    info = desk.store.find_image(desk.photos / "again.png")
    assert info is not None
    job = DuplicatesJob(desk.search(), [info.id])
    wait(job)
    assert job.found is not None
    assert (job.found.groups, job.found.compared) == ([], 1)


def test_a_stopped_search_goes_on_with_the_next(desk: Desk) -> None:
    fill(desk)
    first = DuplicatesJob(desk.search())
    first.stop()
    wait(first)
    assert (first.stopped, first.found, first.error) == (True, None, "")
    second = DuplicatesJob(desk.search())
    wait(second)
    assert second.found is not None
    assert len(second.found.groups) == 1
    with Store.open(desk.store.path).writing():
        third = DuplicatesJob(desk.search())  # it reads, and writes nothing but derived files
        wait(third)
    assert third.found is not None
