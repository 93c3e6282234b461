"""Writing: what a server changes in its store, one change at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
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

    def change(self, work: Callable[[Store], T]) -> T:
        """Call `work` with the store, and return what it returns.

        Raises `StoreLockedError` where another process still writes after some seconds.
        """
        deadline = time.monotonic() + PATIENCE_S
        with self._turn:
            store = Store.open(self._path)
            try:
                while True:
                    try:
                        return work(store)
                    except StoreLockedError:
                        if time.monotonic() > deadline:
                            raise
                    time.sleep(PAUSE_S)
            finally:
                store.close()
