"""Progress away from a terminal: each step once, and a line now and then."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress

from ui.progress import IndexProgress, StepProgress


def console(terminal: bool = False) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(file=stream, force_terminal=terminal, width=100), stream


def is_shown(bar: Progress) -> bool:
    return bar.live.is_started


def test_each_step_is_said_once() -> None:
    where, stream = console()
    with StepProgress(where) as progress:
        for doing in ("Merging the vectors", "Training an index"):
            for done in range(4):
                progress(doing, done, 3)
    assert stream.getvalue() == "Merging the vectors …\nTraining an index …\n"


def test_a_long_step_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("ui.progress.time.monotonic", lambda: now)
    where, stream = console()
    with StepProgress(where) as progress:
        progress("Training an index", 0, 0)
        for done in range(1, 5):
            now += 6
            progress("Training an index", done, 4)
    assert stream.getvalue().splitlines() == [
        "Training an index …",
        "Training an index: 50%, 12 s left",
        "Training an index: 100%, 0 s left",
    ]


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    where, stream = console(terminal=True)
    with StepProgress(where) as progress:
        progress("Training an index", 0, 0)
        progress("Training an index", 1, 4)
        progress("Adding vectors", 1, 2)
        bar = progress._bar
        assert [(task.completed, task.total) for task in bar.tasks] == [(1, 2)]
        assert is_shown(bar)
    assert not is_shown(bar)
    assert "Training an index …" in stream.getvalue()


def test_the_steps_after_the_images_take_the_place_of_their_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where, _ = console(terminal=True)
    monkeypatch.setattr("ui.progress.Console", lambda **_: where)
    with IndexProgress() as progress:
        progress(3, 5, 0)
        assert is_shown(progress._bar)
        progress.tell("Training an index", 1, 4)
        assert not is_shown(progress._bar)
        assert is_shown(progress._steps._bar)
    assert not is_shown(progress._steps._bar)
