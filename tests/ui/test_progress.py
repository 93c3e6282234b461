"""Progress: a bar at a terminal, a line every ten seconds elsewhere."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from ui.progress import ConsoleProgress


def console(terminal: bool = False) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=terminal, width=120), stream


def is_shown(bar: Progress) -> bool:
    return bar.live.is_started


def test_short_work_prints_nothing() -> None:
    where, stream = console()
    with ConsoleProgress(where) as progress:
        for step in ("Merging the vectors", "Training an index"):
            for done in range(4):
                progress(step, done, 3)
    assert stream.getvalue() == ""


def test_a_long_step_prints_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("ui.progress.time.monotonic", lambda: now)
    where, stream = console()
    with ConsoleProgress(where) as progress:
        progress("Indexing", 0, 0)
        for done in range(1, 5):
            now += 6
            progress("Indexing", 30 * done, 120, failed=done // 3)
        now += 11
        progress("training the codes", 0, 0)
    assert stream.getvalue().splitlines() == [
        "Indexing: 60/120, 5/s, 12 s left",
        "Indexing: 120/120, 5/s, 0 s left · 1 failed",
        "training the codes …",
    ]


def test_a_terminal_gets_a_bar_that_is_removed() -> None:
    where, stream = console(terminal=True)
    with ConsoleProgress(where) as progress:
        progress("Indexing", 0, 0)
        progress("Indexing", 1, 4, failed=1)
        bar = progress._bar
        bar.refresh()
        assert "1 failed" in stream.getvalue()
        progress("Adding vectors", 1, 2)
        assert [(task.completed, task.total) for task in bar.tasks] == [(1, 2)]
        assert is_shown(bar)
    assert not is_shown(bar)
    assert "Indexing" in stream.getvalue()


def test_two_reports_in_one_instant_make_no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("ui.progress.time.monotonic", lambda: now)
    where, stream = console(terminal=True)
    with ConsoleProgress(where) as progress:
        for done in (0, 32, 33):
            progress("Indexing", done, 75)
        bar = progress._bar
        bar.refresh()
        assert [task.completed for task in bar.tasks] == [32]
        assert "/s" not in stream.getvalue()
        now += 1
        progress("Indexing", 64, 75)
        progress("Indexing", 75, 75)
        assert [task.completed for task in bar.tasks] == [75]
