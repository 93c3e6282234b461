"""The jobs of a server's pages: one of each kind at a time, whoever started it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal, TypeVar

from indexer.errors import CbirError
from ui.jobs import Job

JobName = Literal["indexing", "duplicates", "map", "keypoints"]
J = TypeVar("J", bound=Job)


class JobRunningError(CbirError):
    """Another job of this kind is at work."""


class RunningJobs:
    """Jobs by name, of each the one that runs or that ended last; threads may share it.

    They belong to the process: closing or reloading a page neither ends nor forgets them.
    """

    def __init__(self) -> None:
        self._jobs: dict[JobName, Job] = {}
        self._started = 0
        self._starting = threading.Lock()

    def start(self, name: JobName, make: Callable[[], J]) -> J:
        """Start the job that `make` returns, in place of the last one of that name.

        Raises `JobRunningError` while that one runs, and what `make` does.
        """
        with self._starting:
            if self.is_running(name):
                raise JobRunningError(
                    f"A job for {name} is running already; wait for it to end, or stop it."
                )
            job = make()
            self._jobs[name] = job
            self._started += 1
            return job

    def last(self, name: JobName, kind: type[J]) -> J | None:
        """Return the job of a name that runs or ended last, None if there was none."""
        job = self._jobs.get(name)
        if job is not None and not isinstance(job, kind):
            raise TypeError(f"The job {name} is a {type(job).__name__}, not a {kind.__name__}.")
        return job

    def is_running(self, name: JobName) -> bool:
        """Whether a job of that name is at work."""
        job = self._jobs.get(name)
        return job is not None and job.running

    @property
    def ended(self) -> int:
        """How many jobs have ended so far."""
        return self._started - sum(job.running for job in [*self._jobs.values()])

    def close(self, patience_s: float) -> None:
        """Stop all jobs, wait for them, `patience_s` seconds in all, and forget them."""
        with self._starting:
            jobs = list(self._jobs.values())
            self._jobs.clear()
        for job in jobs:
            job.stop()
        deadline = time.monotonic() + patience_s
        for job in jobs:
            job.wait(max(0.0, deadline - time.monotonic()))


JOBS = RunningJobs()
"""Those of this process."""
