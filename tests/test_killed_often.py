"""The kill test of `benchmarks.kill`, in short."""

from __future__ import annotations

from pathlib import Path

from benchmarks.kill import kill_often


def test_killed_runs_lose_and_double_nothing(tmp_path: Path) -> None:
    failures, done = kill_often(tmp_path, runs=10, seed=3)
    assert failures == []
    assert done.total() == 10
