"""Jobs of one process: one of each kind at a time, and what is known of the last one."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from indexer.errors import CbirError
from ui.duplicates_job import DuplicatesJob
from ui.jobs import Job
from ui.running_jobs import JobRunningError, RunningJobs


class Waiting(Job):
    """Ends when it is told to, or stopped."""

    def __init__(self, fault: str = "") -> None:
        super().__init__("Waiting")
        self.end = threading.Event()
        self.fault = fault
        self.start()

    def stop(self) -> None:
        super().stop()
        self.end.set()

    def _work(self) -> None:
        assert self.end.wait(60)
        self.stopped = self._stopping.is_set()
        if self.fault:
            raise CbirError(self.fault)


@pytest.fixture
def jobs() -> Iterator[RunningJobs]:
    jobs = RunningJobs()
    yield jobs
    jobs.close(60)


def test_one_job_of_a_kind_runs_at_a_time(jobs: RunningJobs) -> None:
    assert jobs.last("map", Waiting) is None
    first = jobs.start("map", Waiting)
    with pytest.raises(JobRunningError, match="A job for map is running already"):
        jobs.start("map", lambda: pytest.fail("a second job was made"))
    other = jobs.start("indexing", Waiting)
    assert jobs.is_running("map")
    assert jobs.last("map", Waiting) is first
    assert jobs.last("indexing", Waiting) is other


def test_an_ended_job_keeps_its_outcome_until_the_next(jobs: RunningJobs) -> None:
    first = jobs.start("indexing", lambda: Waiting("The disk is full."))
    first.end.set()
    first.wait(60)
    assert not jobs.is_running("indexing")
    kept = jobs.last("indexing", Waiting)
    assert kept is first
    assert kept.error == "The disk is full."
    second = jobs.start("indexing", Waiting)
    assert jobs.last("indexing", Waiting) is second


def test_a_job_that_cannot_be_made_leaves_the_last_one(jobs: RunningJobs) -> None:
    first = jobs.start("indexing", Waiting)
    first.end.set()
    first.wait(60)

    def fail() -> Waiting:
        raise CbirError("There is no such folder.")

    with pytest.raises(CbirError, match="no such folder"):
        jobs.start("indexing", fail)
    assert jobs.last("indexing", Waiting) is first


def test_many_visitors_start_one_job(jobs: RunningJobs) -> None:
    made: list[Waiting] = []
    refused: list[JobRunningError] = []
    together = threading.Barrier(8)

    def visit() -> None:
        together.wait(60)
        try:
            made.append(jobs.start("duplicates", Waiting))
        except JobRunningError as error:
            refused.append(error)

    visitors = [threading.Thread(target=visit) for _ in range(8)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(60)
    assert (len(made), len(refused)) == (1, 7)


def test_closing_stops_and_forgets_all(jobs: RunningJobs) -> None:
    running = [jobs.start("map", Waiting), jobs.start("indexing", Waiting)]
    jobs.close(60)
    assert [(job.running, job.stopped) for job in running] == [(False, True)] * 2
    assert jobs.last("map", Waiting) is None


def test_a_job_of_another_kind_is_a_mistake(jobs: RunningJobs) -> None:
    jobs.start("map", Waiting)
    with pytest.raises(TypeError, match="map is a Waiting, not a DuplicatesJob"):
        jobs.last("map", DuplicatesJob)


def test_jobs_that_have_ended_are_counted(jobs: RunningJobs) -> None:
    assert jobs.ended == 0
    first = jobs.start("map", Waiting)
    jobs.start("indexing", Waiting)
    assert jobs.ended == 0
    first.end.set()
    first.wait(60)
    assert jobs.ended == 1
    jobs.start("map", Waiting)  # in place of the one that ended
    assert jobs.ended == 1
    jobs.close(60)
    assert jobs.ended == 3
