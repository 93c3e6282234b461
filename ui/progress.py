"""Progress of an index run on stderr: a bar at a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
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


class IndexProgress:
    """Shows (done, total, failed) with rate and time to go."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
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

    def __enter__(self) -> IndexProgress:
        if self.console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Take the bar away."""
        if self.console.is_terminal:
            self._bar.stop()

    def tell(self, sentence: str) -> None:
        """Say what comes after the images."""
        self.stop()
        self.console.print(f"{sentence} …", highlight=False)

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
