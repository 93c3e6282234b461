"""Progress of long work on stderr: a bar at a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

LINE_EVERY_S = 10.0


class RateColumn(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f} images/s" if task.speed else "", style="cyan")


class LeftColumn(ProgressColumn):
    """The time to go, nothing while it is unknown."""

    def render(self, task: Task) -> Text:
        left_s = task.time_remaining
        return Text("" if left_s is None else f"{timedelta(seconds=round(left_s))} left")


class Shown(ABC):
    """Something that is shown until it is stopped."""

    @abstractmethod
    def stop(self) -> None:
        """Take it away."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class StepProgress(Shown):
    """Shows one step of the work after the other, how far it is and the time to go."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            LeftColumn(),
            console=self.console,
            transient=True,
        )
        self._doing = ""
        self._started = self._spoke = time.monotonic()

    def stop(self) -> None:
        """Take the bar away."""
        if self.console.is_terminal:
            self._bar.stop()

    def __call__(self, doing: str, done: int, total: int) -> None:
        if doing != self._doing:
            self._begin(doing)
        if self.console.is_terminal:
            self._bar.update(self._bar.task_ids[-1], completed=done, total=total or None)
            return
        now = time.monotonic()
        if done and now - self._spoke > LINE_EVERY_S:
            self._spoke = now
            left_s = (now - self._started) * (total - done) / done
            self.console.print(f"{doing}: {done / total:.0%}, {left_s:.0f} s left", highlight=False)

    def _begin(self, doing: str) -> None:
        self._doing, self._started = doing, time.monotonic()
        self._spoke = self._started
        self.console.print(f"{doing} …", highlight=False)
        if self.console.is_terminal:
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._bar.add_task("", total=None)
            self._bar.start()


class IndexProgress(Shown):
    """Shows (done, total, failed) with rate and time to go; and then the steps that come after."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self._steps = StepProgress(self.console)
        self._bar = Progress(
            TextColumn("Indexing"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeElapsedColumn(),
            TextColumn("·"),
            TimeRemainingColumn(),
            TextColumn("left {task.fields[note]}"),
            console=self.console,
            transient=True,
        )
        self._started = self._spoke = time.monotonic()

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._bar.start()
        return self

    def stop(self) -> None:
        """Take the bars away."""
        self._steps.stop()
        if self.console.is_terminal:
            self._bar.stop()

    def tell(self, doing: str, done: int, total: int) -> None:
        """Show what comes after the images."""
        if self.console.is_terminal:
            self._bar.stop()
        self._steps(doing, done, total)

    def __call__(self, done: int, total: int, failed: int) -> None:
        note = f"· {failed} failed" if failed else ""
        if self.console.is_terminal:
            if not self._bar.tasks:
                self._bar.add_task("index", total=total, note=note)
            self._bar.update(self._bar.task_ids[0], completed=done, note=note)
            return
        now = time.monotonic()
        if done and now - self._spoke > LINE_EVERY_S:
            self._spoke = now
            rate = done / (now - self._started)
            left_s = (total - done) / rate
            self.console.print(
                f"{done}/{total} images, {rate:.0f}/s, {left_s:.0f} s left {note}".rstrip(),
                highlight=False,
            )
