"""Budget: how many bytes the pictures that are decoded at the same time may take together."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

SHARE = 4  # the part of the machine's memory; the network, FAISS and the page cache need the rest
LEAST, MOST = 512 << 20, 4 << 30  # more does not help: few files wait with 4 GB
UNKNOWN = 8 << 30  # taken as the memory of a machine that does not say
CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")  # a container's share of the machine


def default_bytes() -> int:
    """Return a quarter of this machine's memory, or of the container's, from 512 MB to 4 GB."""
    memory = UNKNOWN
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not on Windows
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(ValueError, OSError):  # no container, or one without a limit
        memory = min(memory, int(CONTROL_GROUP.read_text("ascii")))
    return min(max(memory // SHARE, LEAST), MOST)


class Budget:
    """Bytes that threads share. They take them through a `Lease`, and wait until there is room.

    Whoever waits holds nothing, and the first to wait is the first to be served; so none waits for
    ever. More than `limit` at once is granted to one that is alone.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    @property
    def waiting(self) -> int:
        """How many threads wait for room."""
        return len(self._waiting)

    def lease(self, before_waiting: Callable[[], None] | None = None) -> Lease:
        """Return a lease for one thread; `before_waiting` gives back what the lease holds."""
        return Lease(self, before_waiting)

    def take(self, size: int, *, wait: bool = False, force: bool = False) -> bool:
        """Take bytes, and return whether they were granted: where there is room, or with `force`.

        With `wait`, room is waited for.
        """
        with self._changed:
            if wait:
                ticket = object()
                self._waiting.append(ticket)
                try:
                    self._changed.wait_for(lambda: self._is_next(ticket, size))
                finally:
                    self._waiting.remove(ticket)
                    self._changed.notify_all()
            elif not force and self.used + size > self.limit:
                return False
            self.used += size
            return True

    def give_back(self, size: int) -> None:
        """Return bytes that were taken."""
        with self._changed:
            self.used -= size
            self._changed.notify_all()

    def _is_next(self, ticket: object, size: int) -> bool:
        return self._waiting[0] is ticket and (not self.used or self.used + size <= self.limit)


class Lease:
    """What one thread holds of a budget; leaving a `with` statement returns it all."""

    def __init__(self, budget: Budget, before_waiting: Callable[[], None] | None) -> None:
        self.held = 0
        self._budget = budget
        self._before_waiting = before_waiting

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.keep(0)

    def reserve(self, size: int) -> None:
        """Take more bytes, waiting for them where there is no room.

        A lease that holds something and cannot give it back does not wait, which might be for ever:
        it gets them at once.
        """
        if self.held and self._budget.take(size):
            self.held += size
            return
        if self.held and self._before_waiting is not None:
            self._before_waiting()
        self._budget.take(size, wait=not self.held, force=True)
        self.held += size

    def keep(self, size: int) -> None:
        """Return all but so many of the bytes that are held."""
        if size < self.held:
            self._budget.give_back(self.held - size)
            self.held = size


DECODING = Budget(default_bytes())  # of this process, for whoever brings no budget of their own
