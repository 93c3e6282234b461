"""Long work beside a server: in a thread of its own, watched and stopped from outside."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass

from indexer.errors import CbirError


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
    """Work that goes on while the server answers.

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

    def wait(self, patience_s: float | None = None) -> None:
        """Wait until it has ended, for so many seconds at most if given."""
        self._thread.join(patience_s)

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
