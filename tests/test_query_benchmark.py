"""The benchmark of warm queries, in short, with an index and with too few vectors for one."""

from __future__ import annotations

import json
import sys

import pytest

from benchmarks.query import main
from tests.sample import SAMPLE


@pytest.mark.parametrize("regions", [3_000, 30_000])
def test_each_kind_of_query_is_measured(
    regions: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--regions", str(regions), "--queries", "4", "--json"]
    monkeypatch.setattr(sys, "argv", ["query", str(SAMPLE / "images"), *asked])
    main()
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["query"] for row in rows] == ["photo", "box", "whole"]
    for row in rows:
        assert row["describe_ms"] > 0
        assert row["search_ms"] > 0
        assert row["plain_ms"] > 0
