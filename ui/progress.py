"""Progress of long work on stderr: a bar at a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from ui.printable import printable

LINE_EVERY_S = 10.0
SHOWN_EVERY_S = 0.25  # two reports in one instant would make a rate of thousands a second


class RateColumn(ProgressColumn):
    """Items a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="cyan")


class LeftColumn(ProgressColumn):
    """The remaining time, nothing while it is unknown."""

    def render(self, task: Task) -> Text:
        left_s = task.time_remaining
        return Text("" if left_s is None else f"{timedelta(seconds=round(left_s))} left")


class ConsoleProgress:
    """Shows one step after the other: how much is done, the rate and the remaining time.

    See `indexer.progress.Progress`. Use it in a `with` statement.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            RateColumn(),
            TimeElapsedColumn(),
            LeftColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            transient=True,
        )
        self._step = ""
        self._started = self._printed = time.monotonic()
        self._shown = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Remove the bar."""
        if self.console.is_terminal:
            self._bar.stop()

    def __call__(self, step: str, done: int, total: int, *, failed: int = 0) -> None:
        step = printable(step)  # which may name a set of photos
        if step != self._step:
            self._start(step)
        note = f"· {failed} failed" if failed else ""
        now = time.monotonic()
        if self.console.is_terminal:
            if not 0 < done < total or now - self._shown > SHOWN_EVERY_S:
                self._shown = now if done else 0.0
                task = self._bar.task_ids[-1]
                self._bar.update(task, completed=done, total=total or None, note=note)
            return
        if now - self._printed > LINE_EVERY_S:
            self._printed = now
            line = f"{step} …"
            if done:
                rate = done / (now - self._started)
                left_s = (total - done) / rate
                line = f"{step}: {done:,}/{total:,}, {rate:,.0f}/s, {left_s:.0f} s left {note}"
            self.console.print(line.rstrip(), highlight=False)

    def _start(self, step: str) -> None:
        self._step, self._started, self._shown = step, time.monotonic(), 0.0
        if not self.console.is_terminal:
            return
        for task in self._bar.task_ids:
            self._bar.remove_task(task)
        self._bar.add_task(step, total=None, note="")
        self._bar.start()
