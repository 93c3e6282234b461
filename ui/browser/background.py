"""Long work behind a page: in a thread of its own, watched and stopped from the page."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

import streamlit as st

from indexer.errors import CbirError
from ui.browser.figures import plain


@dataclass(frozen=True)
class Step:
    """A step of the work, see `indexer.progress.Progress`, and when it began (monotonic)."""

    name: str
    done: int
    total: int
    failed: int
    started_s: float

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        return self.done / self.total if self.total else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds to go, None while it is unknown."""
        if not self.done:
            return None
        return (self.total - self.done) * (time.monotonic() - self.started_s) / self.done


class Job(ABC):
    """Work that goes on while the pages answer.

    `error` says what ended it, if anything did, and `stopped` whether the user did.
    """

    def __init__(self, first_step: str) -> None:
        self.step = Step(first_step, 0, 0, 0, time.monotonic())
        self.error = ""
        self.stopped = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=first_step, daemon=True)

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the work."""
        self._thread.start()

    def stop(self) -> None:
        """Stop soon."""
        self._stopping.set()

    @abstractmethod
    def _work(self) -> None:
        """Do the work, and set `stopped` if it was stopped; `CbirError` is reported."""

    def _run(self) -> None:
        try:
            self._work()
        except CbirError as error:
            self.error = str(error)

    def _progress(self, step: str, done: int, total: int, *, failed: int = 0) -> None:
        started_s = self.step.started_s if step == self.step.name else time.monotonic()
        self.step = Step(step, done, total, failed, started_s)


def show_progress(job: Job, name: str, on_stop: str) -> None:
    """Draw how far a job is, and a button that stops it; `on_stop` says what is kept then."""
    step = job.step
    left = "" if step.left_s is None else f", {step.left_s:.0f} s left"
    failed = f", {step.failed} failed" if step.failed else ""
    count = f" {step.done:,} of {step.total:,}{failed}{left}" if step.total else " …"
    st.progress(step.share, f"{plain(name)}: {plain(step.name)}{count}")
    st.button("Stop", on_click=job.stop, help=on_stop)
