"""Searching for duplicates in the background of a server."""

from __future__ import annotations

from collections.abc import Collection

from retrieval.duplicates.search import Duplicates, find_duplicates
from retrieval.engine import SearchEngine
from ui.jobs import Job


class DuplicatesJob(Job):
    """Searches a store for duplicates, or the images of it that are `allowed`.

    What was compared is kept if it is stopped; searching again continues from there.
    """

    def __init__(self, engine: SearchEngine, allowed: Collection[int] | None = None) -> None:
        super().__init__("Finding keypoints")
        self.found: Duplicates | None = None
        self._engine = engine
        self._allowed = allowed
        self.start()

    def _work(self) -> None:
        try:
            self.found = find_duplicates(
                self._engine.collection,
                self._allowed,
                progress=self._progress,
                stop=self._stopping.is_set,
            )
        except KeyboardInterrupt:  # so `find_duplicates` says that it was stopped
            self.stopped = True
