from __future__ import annotations

import time
from pathlib import Path

import pytest

from indexer.store.statistics import summarize
from indexer.store.store import Store
from tests.desk import Desk
from tests.pictures import plain, shades
from ui.indexing_job import IndexingJob


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
    (desk.photos / "bad.png").write_text("no picture")
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
