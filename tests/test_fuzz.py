"""The readers of files get some of the examples of `benchmarks.fuzz`."""

from __future__ import annotations

import pytest

from benchmarks.fuzz import TARGETS, fuzz


@pytest.mark.parametrize("name", TARGETS)
def test_only_errors_for_the_user_come_out(name: str) -> None:
    fuzz(name, 25 if name == "store" else 60)
