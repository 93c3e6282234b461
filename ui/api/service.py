"""Service: what all routes of the API share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from indexer.sources.place import Place
from ui.api.limits import Limits, Places
from ui.api.problems import (
    AtWorkError,
    GoneError,
    NotFoundError,
    NotOfferedError,
    SearchTimeoutError,
)
from ui.api.uploads import Uploads
from ui.api.writing import Writer
from ui.jobs import Job
from ui.opened import OpenedStore, opened_store

T = TypeVar("T")
Wanted = Callable[[], None]
"""Raises where nobody waits for an answer any more, or it took too long."""

CHANGES = 16  # that wait for their turn at a time
ANSWERS = 16  # of searches for pages, that are worked on or wait for their turn
KEPT_JOBS = 100  # of the past, for those who ask how they ended
LOOK_S = 0.2  # between two looks at whether somebody still waits


class Service:
    """One store behind the routes, its limits, and what is going on."""

    def __init__(self, path: Path, limits: Limits, uploads: Path | None = None) -> None:
        self.path = path
        self.limits = limits
        self.places = Places(limits)
        self.writer = Writer(path)
        self.jobs: dict[int, Job] = {}  # the last ones, by number from 1
        self._starting = Lock()
        # Those who wait, for another process to end its writing or for others who search, hold no
        # thread that answers the rest.
        self._changes = ThreadPoolExecutor(CHANGES, "changes")
        self._answers = ThreadPoolExecutor(ANSWERS, "answers")
        self._uploads: Uploads | None = None
        if uploads is not None:
            self._uploads = Uploads(
                uploads,
                self.writer,
                lambda: self.opened.engine.store,
                lambda: self.opened.engine.collection.extractor,
            )

    @property
    def opened(self) -> OpenedStore:
        """The store, as of now."""
        return opened_store(self.path)

    @property
    def takes_images(self) -> bool:
        """Whether clients can put images."""
        return self._uploads is not None

    @property
    def uploads(self) -> Uploads:
        """The images that clients put; raises `NotOfferedError`."""
        if self._uploads is None:
            raise NotOfferedError("This server takes no images; start it with --uploads FOLDER.")
        return self._uploads

    def key_of(self, path: Place) -> str | None:
        """Return the key that an image was put by, if any."""
        return None if self._uploads is None else self._uploads.key_of(path)

    def job(self, number: int) -> Job:
        """Return a job by its number from 1; raises `NotFoundError`."""
        job = self.jobs.get(number)
        if job is None:
            raise NotFoundError(f"There is no job {number}.")
        return job

    def start_job(self, make: Callable[[], Job]) -> int:
        """Start the job that is made, and return its number; raises `AtWorkError`."""
        with self._starting:
            if any(job.running for job in self.jobs.values()):
                raise AtWorkError("A job is running already; wait for it to end, or stop it.")
            number = max(self.jobs, default=0) + 1
            kept = list(self.jobs.items())[1 - KEPT_JOBS :]
            self.jobs = dict([*kept, (number, make())])
            return number

    def close(self) -> None:
        """Stop what is going on; what is committed stays."""
        self.writer.close()
        self._changes.shutdown(wait=False, cancel_futures=True)
        self._answers.shutdown(wait=False, cancel_futures=True)
        for job in self.jobs.values():
            job.stop()
        if self._uploads is not None:
            self._uploads.close()

    async def change(self, work: Callable[[], T]) -> T:
        """Do work that changes the store, in its turn."""
        return await asyncio.wrap_future(self._changes.submit(work))

    async def search(self, request: Request, work: Callable[[Wanted], T]) -> T:
        """Do the work of a search in its turn, unless nobody waits for it any more by then.

        Raises `SearchTimeoutError`.
        """
        async with self._while_wanted(request) as require_wanted, self.places.turn():
            require_wanted()
            return await run_in_threadpool(work, require_wanted)

    async def answer(self, request: Request, work: Callable[[Wanted], T]) -> T:
        """Do work that takes its own turns, as long as somebody waits for it.

        What waits holds up no pictures. Raises `SearchTimeoutError`.
        """
        async with self._while_wanted(request) as require_wanted:
            return await asyncio.wrap_future(self._answers.submit(work, require_wanted))

    @asynccontextmanager
    async def _while_wanted(self, request: Request) -> AsyncIterator[Wanted]:
        """Yield what raises once the client has hung up, or waited for too long."""
        gone, deadline = Event(), time.monotonic() + self.limits.search_s

        def require_wanted() -> None:
            if gone.is_set():
                raise GoneError("The client has hung up.")
            if time.monotonic() > deadline:
                raise SearchTimeoutError(
                    f"The search took longer than {self.limits.search_s:g} s, with its wait for "
                    "others. Ask for fewer candidates, or again later."
                )

        async def watch() -> None:
            while not await request.is_disconnected():
                await asyncio.sleep(LOOK_S)
            gone.set()

        watching = asyncio.create_task(watch())
        try:
            yield require_wanted
        finally:
            watching.cancel()


def service_of(request: Request) -> Service:
    """Return the service of the application that got a request."""
    service: Service = request.app.state.service
    return service
