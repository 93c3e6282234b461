"""What all commands share: the version, usage errors, completion in shells, honest times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import Result

from tests.pictures import RED, plain
from ui.cli import app

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


def numbers_of(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield every option for a number that may have a fraction, after its command."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from numbers_of(command, (*path, name))
            continue
        for option in command.params:
            if option.type.name.startswith("float"):
                yield (*path, name, option.opts[0])


@pytest.mark.parametrize("option", [*numbers_of(get_command(app))], ids=" ".join)
@pytest.mark.parametrize("value", ["nan", "-inf", "1e309"])
def test_numbers_are_finite(cbir: Run, option: tuple[str, ...], value: str) -> None:
    done = cbir(*option, value)
    assert done.exit_code == 2
    said = " ".join(done.stderr.replace("│", " ").split())
    assert "must be a finite number" in said or "is not in the range" in said


@pytest.mark.parametrize(
    "option",
    [
        ("eval", "layers", "--pooling"),
        ("eval", "classify", "--pooling"),
        ("eval", "classify", "--baseline"),
        ("duplicates", "--kind"),
    ],
    ids=" ".join,
)
def test_what_may_be_chosen_several_times_is_checked(cbir: Run, option: tuple[str, ...]) -> None:
    done = cbir(*option, "chosen")
    assert done.exit_code == 2
    assert "'chosen' is not one of" in " ".join(done.stderr.split())
