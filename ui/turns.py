"""Turns: one search at a time, in the order of asking, and none that nobody waits for any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

LOOK_S = 0.05  # between two looks at whether it is still wanted


class Turns:
    """Lets one thread at a time work: of those that wait, the one that came first."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._line: deque[object] = deque()  # the first is at work

    @contextmanager
    def turn(self, require_wanted: Callable[[], object]) -> Iterator[None]:
        """Wait for a turn, and hold it.

        `require_wanted` is called while waiting, and once more before the turn begins; what it
        raises ends the wait.
        """
        place = object()
        with self._changed:
            self._line.append(place)
        try:
            while not self._is_first(place):
                require_wanted()
            require_wanted()
            yield
        finally:
            with self._changed:
                self._line.remove(place)
                self._changed.notify_all()

    def _is_first(self, place: object) -> bool:
        """Wait a moment for the first place in the line; return whether it is had."""
        with self._changed:
            return self._changed.wait_for(lambda: self._line[0] is place, LOOK_S)
