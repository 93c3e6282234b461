"""Indexing from the browser."""

from __future__ import annotations

from pathlib import Path

from indexer.build import index_photos
from indexer.run import IndexingStopped, IndexReport
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from ui.browser.background import Job


class IndexingJob(Job):
    """Brings the store up to date with one folder; what is committed stays if it is stopped.

    Indexing the same folder again continues from there.
    """

    def __init__(self, engine: SearchEngine, folder: Path) -> None:
        super().__init__("Scanning")
        self.folder = folder
        self.report: IndexReport | None = None
        self._engine = engine
        self._store = Store.open(engine.store.path)
        self.start()

    def _work(self) -> None:
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
