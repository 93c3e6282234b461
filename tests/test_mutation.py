"""The benchmark of damaged files, with few of them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.mutation import FORMATS, measure
from tests.sample import SAMPLE


def test_damaged_files_cost_nothing_but_themselves(tmp_path: Path) -> None:
    photos = sorted((SAMPLE / "images").glob("*.jpg"))[:1]
    found = measure(photos, 4 * len(FORMATS), 3, tmp_path)
    assert (found.crashes, found.without_reason, found.good_not_indexed) == (0, 0, 0)
    assert found.stray_lines == 0
    assert 0 < found.failed < found.files
