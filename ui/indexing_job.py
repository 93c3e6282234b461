"""Indexing in the background of a server."""

from __future__ import annotations

from indexer.build import index_photos
from indexer.run import IndexingStopped, IndexReport
from indexer.sources.place import Place
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from ui.jobs import Job


class IndexingJob(Job):
    """Brings a store up to date with places, or with all it knows; all that is committed stays.

    Indexing the same places again continues from there.
    """

    def __init__(self, engine: SearchEngine, *places: Place) -> None:
        super().__init__("Scanning")
        self.places = places
        self.report: IndexReport | None = None
        self._engine = engine
        self._store = Store.open(engine.store.path)
        self.start()

    def _work(self) -> None:
        try:
            self.report = index_photos(
                self._store,
                self.places,
                lambda: self._engine.collection.extractor,
                progress=self._progress,
                stop=self._stopping.is_set,
            )
        except IndexingStopped as stop:
            self.stopped, self.report = True, stop.report
        finally:
            self._store.close()
