"""Indexing from the browser: in a thread of its own, watched and stopped from the page."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from indexer.build import index_photos
from indexer.errors import CbirError
from indexer.run import IndexingStopped, IndexReport
from indexer.store.store import Store
from retrieval.engine import SearchEngine


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


class IndexingJob:
    """Brings the store up to date with one folder; what is committed stays if it is stopped."""

    def __init__(self, engine: SearchEngine, folder: Path) -> None:
        self.folder = folder
        self.step = Step("Scanning", 0, 0, 0, time.monotonic())
        self.report: IndexReport | None = None
        self.error = ""
        self.stopped = False
        self._engine = engine
        self._stopping = threading.Event()
        self._store = Store.open(engine.store.path)
        self._thread = threading.Thread(target=self._run, name="indexing", daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stop soon; indexing the same folder again continues from there."""
        self._stopping.set()

    def _progress(self, step: str, done: int, total: int, *, failed: int = 0) -> None:
        started_s = self.step.started_s if step == self.step.name else time.monotonic()
        self.step = Step(step, done, total, failed, started_s)

    def _run(self) -> None:
        try:
            self.report = index_photos(
                self._store,
                [self.folder],
                lambda: self._engine.collection.extractor,
                progress=self._progress,
                stop=self._stopping.is_set,
            )
        except IndexingStopped as stop:
            self.stopped, self.report = True, stop.report
        except CbirError as error:
            self.error = str(error)
