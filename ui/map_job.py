"""Laying out the map of a collection in the background of a server."""

from __future__ import annotations

from retrieval.collection_map import map_collection
from retrieval.engine import SearchEngine
from retrieval.kept_map import CollectionMap
from retrieval.map_layout import MappingStopped
from ui.jobs import Job


class MapJob(Job):
    """Lays out the map of a store, which keeps it: `read_map` has it at once from then on.

    One that is stopped leaves nothing.
    """

    def __init__(self, engine: SearchEngine) -> None:
        super().__init__("Reading vectors")
        self.found: CollectionMap | None = None
        self._engine = engine
        self.start()

    def _work(self) -> None:
        try:
            self.found = map_collection(
                self._engine.collection, progress=self._progress, stop=self._stopping.is_set
            )
        except MappingStopped:
            self.stopped = True
