"""Writing: what a server changes in its store, one change at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

from indexer.errors import StoreLockedError
from indexer.store.store import Store

T = TypeVar("T")

PATIENCE_S = 10.0  # for another process that writes
PAUSE_S = 0.1  # between two tries


class Writer:
    """Lets one thread at a time change the store, and waits a while for other processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = Lock()
        self._closing = Event()

    def close(self) -> None:
        """Wait for no other process any more."""
        self._closing.set()

    def change(self, work: Callable[[Store], T]) -> T:
        """Call `work` with the store, and return what it returns.

        It may be called again, where another process writes. Raises `StoreLockedError` where that
        one, or another thread, still writes after some seconds.
        """
        deadline = time.monotonic() + PATIENCE_S
        if not self._turn.acquire(timeout=PATIENCE_S):
            raise StoreLockedError("The server is writing to its store; try again.")
        try:
            with closing(Store.open(self._path)) as store:
                while True:
                    try:
                        return work(store)
                    except StoreLockedError:
                        if time.monotonic() > deadline or self._closing.wait(PAUSE_S):
                            raise
        finally:
            self._turn.release()
