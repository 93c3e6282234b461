"""What is printed: names of files may hold what a terminal obeys, and none of it gets there."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import tests
from tests.pictures import PHOTOS, photo
from tests.ui.conftest import Album

Run = Callable[..., Result]

NAME = "a\x1b]0;b\x07\x1b[31m\nc\rd\x9b1me\x7f"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
TREE = Path(tests.__file__).parent.parent


def check(done: Result, *, exit_code: int | None = None) -> None:
    """Assert that a command named the file and let nothing through."""
    if exit_code is not None:
        assert done.exit_code == exit_code, done.output
    text = done.stdout + done.stderr
    assert not CONTROL.search(text), repr(text)
    assert "\nc" not in text
    assert "\\x1b[31m\\nc\\rd\\x9b1me\\x7f" in re.sub(r"[\n│ ]", "", text)


@pytest.fixture
def odd(here: Path) -> Path:
    """A folder whose name, and the names in which, no terminal should see."""
    folder = here / f"folder {NAME}"
    folder.mkdir()
    photo(PHOTOS[0]).resize((96, 64)).save(folder / f"{NAME}.jpg")
    (folder / f"bad {NAME}.jpg").write_text("milk, bread", "utf-8")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ("index", NAME),
        ("index", NAME, "--spec", NAME),
        ("query", NAME),
        ("query", NAME, "--montage", f"{NAME}.zip"),
        ("query", "--batch", NAME),
        ("query", "x", "--store", NAME),
        ("localize", NAME, NAME),
        ("remove", NAME),
        ("relocate", NAME, NAME),
        ("watch", NAME),
        ("info", "--store", NAME),
        ("whiten", "--store", NAME),
        ("optimize", "--store", NAME),
        ("ui", "--store", f"photos/shopping list.jpg/{NAME}"),
        ("serve", "--store", NAME),
        ("teach", "x", "--positive", NAME),
        ("teach", "--import", NAME),
        ("tag", NAME),
        ("eval", "retrieval", NAME),
        ("eval", "classify", NAME),
        ("eval", "layers", NAME),
        ("eval", "localize", NAME),
        ("eval", "segment", NAME),
    ],
    ids=" ".join,
)
def test_errors(
    album: Album, cbir: Run, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(album.photos.parent)
    done = cbir(*command)
    assert done.exit_code in (1, 2)
    check(done)


def test_reports_and_hits(odd: Path, cbir: Run) -> None:
    check(cbir("index", odd), exit_code=0)
    check(cbir("info"), exit_code=0)
    image = odd / f"{NAME}.jpg"
    check(cbir("query", image), exit_code=0)
    check(cbir("query", image, "--montage", odd / "sheet.jpg"), exit_code=0)
    check(cbir("localize", image, image, "--out", odd / "out"), exit_code=0)
    check(cbir("localize", image, odd / f"bad {NAME}.jpg"), exit_code=1)
    moved = odd.rename(odd.with_name(f"moved {NAME}"))
    check(cbir("relocate", odd, moved), exit_code=0)


def test_the_first_failure_of_a_strict_run(odd: Path, cbir: Run) -> None:
    check(cbir("index", odd, "--strict"), exit_code=1)


def test_failures_of_examples_and_of_queries(odd: Path, cbir: Run) -> None:
    bad = odd / f"bad {NAME}.jpg"
    assert cbir("index", odd).exit_code == 0
    given = [f"--positive={bad}"]
    for number, kind in enumerate(("positive", "negative") * 3):
        path = odd / f"{number} {kind}.jpg"
        photo(PHOTOS[1 + number % 2]).rotate(number).save(path)
        given.append(f"--{kind}={path}")
    check(cbir("teach", "x", *given), exit_code=0)
    batch = odd / "batch.csv"
    batch.write_bytes(b'id,image\n1,"' + os.fsencode(bad) + b'"\n')
    check(cbir("query", "--batch", batch), exit_code=1)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pseudo terminal")
def test_csv_at_a_terminal_and_elsewhere(odd: Path, cbir: Run) -> None:
    image = odd / f"{NAME}.jpg"
    assert cbir("index", odd).exit_code == 0
    command = [sys.executable, "-m", "ui.cli", "query", str(image), "--csv"]
    settings = os.environ | {"PYTHONPATH": str(TREE)}
    piped = subprocess.run(command, env=settings, capture_output=True, check=True)
    assert os.fsencode(image) in piped.stdout

    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=settings, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    lines = shown.decode().replace("\r\n", "\n")
    assert not CONTROL.search(lines)
    assert lines.count("\n") == 2
    assert "\\x1b[31m\\nc" in lines


@pytest.mark.parametrize("path", sorted((TREE / "ui" / "cli").glob("*.py")), ids=lambda p: p.name)
def test_commands_print_in_one_place(path: Path) -> None:
    if path.name != "shell.py":
        assert not re.search(
            r"(?<!\.)\bprint\(|typer\.echo|sys\.std(out|err)\.", path.read_text("utf-8")
        )
