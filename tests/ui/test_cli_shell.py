"""What all commands share: the version, usage errors, completion in shells, honest times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import Result

from tests.pictures import RED, plain

Run = Callable[..., Result]


def test_the_version(cbir: Run) -> None:
    done = cbir("--version")
    assert (done.exit_code, done.stdout) == (0, f"cbir {version('cbir')}\n")


def test_json_and_csv_together_are_a_usage_error(cbir: Run, here: Path) -> None:
    done = cbir("query", plain(here / "red.png", RED), "--json", "--csv")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "choose one of --json and --csv" in done.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("cbir query x --feature ", {"conv", "fc"}),
        ("cbir query x --search ", {"image", "region"}),
        ("cbir index x --regions ", {"grid", "sliding", "none"}),
        ("cbir index x --pooling ", {"spoc", "mac", "gem", "rmac"}),
        ("cbir index x --index ", {"auto", "exact", "balanced", "compact"}),
        ("cbir localize x y --engine ", {"auto", "openvino", "torch"}),
    ],
)
def test_values_of_options_complete_in_shells(words: str, expected: set[str]) -> None:
    asked = {"_CBIR_COMPLETE": "complete_bash", "COMP_WORDS": words}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("cbir"))],
        env=os.environ | asked | {"COMP_CWORD": str(words.count(" "))},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert set(done.stdout.split()) == expected


def test_the_time_told_is_that_of_the_whole_command(
    cbir: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(here / "photos" / "red.png", RED)
    steps_s = 0.3

    def rest(*_: object) -> None:
        time.sleep(steps_s)

    monkeypatch.setattr("indexer.build.update_indexes", rest)
    started = time.monotonic()
    done = cbir("index", here / "photos", "--json")
    took_s = time.monotonic() - started
    report = json.loads(done.stdout)
    assert steps_s < report["elapsed_s"] <= took_s
    assert report["images_per_s"] == pytest.approx(1 / report["elapsed_s"], rel=0.05, abs=0.006)
