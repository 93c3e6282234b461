"""Indexing in the background of a server."""

from __future__ import annotations

from pathlib import Path

from indexer.build import index_photos
from indexer.carry_over import restore_user_data
from indexer.features.spec import FeatureSpec
from indexer.run import IndexingStopped, IndexReport
from indexer.sources.place import Place
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from ui.jobs import Job
from ui.opened import opened_store, opening_later


class IndexingJob(Job):
    """Brings a store up to date with places, or with all it knows; all that is committed stays.

    Indexing the same places again continues from there. With `is_first`, a store that holds no
    image in the end is deleted again.
    """

    def __init__(self, engine: SearchEngine, *places: Place, is_first: bool = False) -> None:
        super().__init__("Scanning")
        self.places = places
        self.report: IndexReport | None = None
        self._engine = engine
        self._store = Store.open(engine.store.path)
        self._is_first = is_first
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
            restore_user_data(self._store)
        except IndexingStopped as stop:
            self.stopped, self.report = True, stop.report
        finally:
            if self._is_first:
                with opening_later():
                    self._store.close_or_discard()
            else:
                self._store.close()


def first_index(path: Path, folder: Path) -> IndexingJob:
    """Create a store with the default settings at `path`, and start to index a folder into it.

    `opened_store(path)` opens it from now on. It is deleted again if no image gets into it, so that
    another attempt can follow. Raises `StoreError` where there is a store, or none can be created.
    """
    with opening_later():
        Store.create(path, FeatureSpec.create()).close()
    return IndexingJob(opened_store(path).engine, folder, is_first=True)
