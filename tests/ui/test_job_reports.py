"""The jobs of the pages in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from indexer.errors import InvalidQueryError
from indexer.store.store import Store
from tests.desk import Desk
from tests.pictures import PHOTOS, photo, plain, shades
from ui.indexing_job import IndexingJob
from ui.job_reports import describe_jobs, places_of, start_job, stop_job
from ui.jobs import Job
from ui.keypoints_job import KeypointsJob
from ui.map_job import MapJob
from ui.running_jobs import JOBS, JobName, JobRunningError


@pytest.fixture(autouse=True)
def _no_jobs() -> Iterator[None]:
    JOBS.close(60)
    yield
    JOBS.close(60)


def told(name: str) -> dict[str, Any]:
    return next(job for job in describe_jobs() if job["name"] == name)


def wait(name: JobName, kind: type[Job]) -> None:
    job = JOBS.last(name, kind)
    assert job is not None
    job.wait(60)
    assert not job.running


def test_nothing_has_run_yet() -> None:
    assert [job["state"] for job in describe_jobs()] == ["none"] * 4
    stop_job("map")
    assert told("map")["state"] == "none"


def test_what_was_indexed_is_told(desk: Desk) -> None:
    plain(desk.photos / "red.png", (200, 0, 0))
    (desk.photos / "list.jpg").write_text("milk", "utf-8")
    start_job("indexing", desk.search(), str(desk.photos))
    wait("indexing", IndexingJob)
    found = told("indexing")
    assert found["state"] == "ended"
    assert f"{desk.photos}: 1 added, 1 failed, in " in found["said"]
    start_job("indexing", desk.search())
    wait("indexing", IndexingJob)
    assert "all folders: 1 unchanged" in told("indexing")["said"]


def test_what_went_wrong_is_told(desk: Desk) -> None:
    plain(desk.photos / "red.png", (200, 0, 0))
    desk.index()
    start_job("map", desk.search())
    wait("map", MapJob)
    assert told("map")["state"] == "failed"
    assert "at least 10 images" in told("map")["said"]


def test_only_one_of_a_kind_runs_and_it_can_be_stopped(desk: Desk) -> None:
    for number, colour in enumerate(shades(200)):
        plain(desk.photos / f"{number}.png", colour)
    search = desk.search()
    start_job("indexing", search, str(desk.photos))
    with pytest.raises(JobRunningError):
        start_job("indexing", search, str(desk.photos))
    found = told("indexing")
    assert (found["state"], found["of"]) == ("running", [str(desk.photos)])
    stop_job("indexing")
    wait("indexing", IndexingJob)
    assert told("indexing")["state"] == "stopped"
    assert told("indexing")["said"].startswith("Stopped. What is indexed stays")


@pytest.mark.parametrize(
    ("folder", "says"),
    [
        ("photos", "full path of a folder"),
        ("/nowhere/at all", "There is no folder /nowhere/at all"),
    ],
)
def test_a_folder_that_cannot_be_indexed(folder: str, says: str) -> None:
    with pytest.raises(InvalidQueryError, match=says):
        places_of(folder)


def test_places_to_index(tmp_path: Path) -> None:
    assert places_of(f"  {tmp_path} ") == [tmp_path]
    assert places_of(" ") == []


def test_a_job_that_is_none(desk: Desk) -> None:
    with pytest.raises(InvalidQueryError, match="There is no job 'tea'; there are indexing"):
        start_job("tea", desk.search())
    with pytest.raises(InvalidQueryError, match="There is no job 'tea'"):
        stop_job("tea")


def test_keypoints_are_found_and_kept_from_then_on(desk: Desk) -> None:
    photo(PHOTOS[0]).resize((320, 240)).save(desk.photos / "one.png")
    desk.index()
    assert not desk.store.keeps_keypoints
    start_job("keypoints", desk.search())
    wait("keypoints", KeypointsJob)
    assert told("keypoints")["state"] == "ended"
    assert Store.open(desk.store.path).keeps_keypoints


def test_stopped_keypoints_can_be_started_again(desk: Desk) -> None:
    photo(PHOTOS[0]).resize((320, 240)).save(desk.photos / "one.png")
    desk.index()
    job = KeypointsJob(desk.search())
    job.stop()
    job.wait(60)
    assert (job.stopped, Store.open(desk.store.path).keeps_keypoints) == (True, False)
