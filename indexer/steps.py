"""Steps of long work: how those who do it tell how far they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

Done = Callable[[int, int], None]
"""Called with how much of a step is done, and of how much."""

Tell = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much; 0 of 0 if unknown."""


def unwatched(done: int, total: int) -> None:
    """Take no notice of how far a step is."""


def untold(doing: str, done: int, total: int) -> None:
    """Take no notice of any step."""


def begin(tell: Tell, doing: str) -> Done:
    """Tell of a new step, and return what tells how far it is."""
    tell(doing, 0, 0)
    return partial(tell, doing)
