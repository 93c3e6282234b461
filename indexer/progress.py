"""Progress reporting for long-running work."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as work proceeds: the current step, how much of it is done, and the total.

    `total` is 0 while it is unknown. `failed` counts the items of the step that could not be used.
    """

    def __call__(self, step: str, done: int, total: int, *, failed: int = 0) -> None: ...


def no_progress(step: str, done: int, total: int, *, failed: int = 0) -> None:
    """Report nothing."""


def prefixed(progress: Progress, prefix: str) -> Progress:
    """Return a progress that puts `prefix` before the name of each step."""

    def report(step: str, done: int, total: int, *, failed: int = 0) -> None:
        progress(f"{prefix}: {step}", done, total, failed=failed)

    return report
