"""Indexing from the browser: in a thread of its own, watched and stopped from the page."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from indexer.build import Builder, BuildOptions, IndexReport
from indexer.errors import CbirError
from indexer.optimize import keep_up
from indexer.store.store import Store
from retrieval.engine import SearchEngine


@dataclass(frozen=True)
class Step:
    """What is done once the images are, and which share of it is done."""

    doing: str
    share: float


class IndexingJob:
    """Brings the store up to date with one folder; what is committed stays if it is stopped."""

    def __init__(self, engine: SearchEngine, folder: Path) -> None:
        self.folder = folder
        self.done = self.total = self.failed = 0
        self.step: Step | None = None
        self.report: IndexReport | None = None
        self.error = ""
        self.stopped = False
        self._engine = engine
        self._store = Store.open(engine.store.path)
        self._builder = Builder(
            self._store, lambda: engine.extractor, BuildOptions(), self._progress
        )
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="indexing", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive()

    @property
    def left_s(self) -> float | None:
        """Seconds to go, None while nothing is known."""
        if not self.done:
            return None
        return (self.total - self.done) * (time.monotonic() - self._started) / self.done

    def stop(self) -> None:
        """Stop after the images at hand; the same folder again goes on from there."""
        self._builder.interrupted = True

    def _progress(self, done: int, total: int, failed: int) -> None:
        self.done, self.total, self.failed = done, total, failed

    def _tell(self, doing: str, done: int, total: int) -> None:
        self.step = Step(doing, done / total if total else 0.0)

    def _run(self) -> None:
        try:
            self.report = self._builder.run([self.folder])
            keep_up(self._store, self._tell)
        except KeyboardInterrupt:
            self.stopped = True
        except CbirError as error:
            self.error = str(error)
