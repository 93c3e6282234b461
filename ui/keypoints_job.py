"""Finding keypoints in the background of a server."""

from __future__ import annotations

from indexer.keypoints import update_keypoints
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from ui.jobs import Job


class KeypointsJob(Job):
    """Finds the keypoints of every image of a store, which keeps those of new images from then on.

    What was found is kept if it is stopped; starting again continues from there.
    """

    def __init__(self, engine: SearchEngine) -> None:
        super().__init__("Finding keypoints")
        self._engine = engine
        self.start()

    def _work(self) -> None:
        try:
            update_keypoints(self._engine.store, self._progress, self._stopping.is_set)
        except KeyboardInterrupt:  # so `update_keypoints` says that it was stopped
            self.stopped = True
            return
        store = Store.open(self._engine.store.path)
        try:
            if not store.keeps_keypoints:
                with store.writing():
                    store.keep_keypoints(True)
        finally:
            store.close()
