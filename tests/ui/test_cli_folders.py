"""Commands on the folders that a store knows: index without a place, watch, relocate, remove."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests.pictures import BLUE, GREEN, RED, coloured, plain
from ui.cli import app

Run = Callable[..., Result]
PATIENCE_S = 120


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cbir: Run) -> Path:
    """A folder with an indexed folder `photos`, as the current one."""
    monkeypatch.chdir(tmp_path)
    plain(tmp_path / "photos" / "a.png", RED)
    plain(tmp_path / "photos" / "sub" / "b.png", GREEN)
    (tmp_path / "photos" / "film.mp4").write_bytes(b"x")
    assert cbir("index", "photos").exit_code == 0
    return tmp_path


def report_of(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_index_without_a_place(here: Path, cbir: Run) -> None:
    plain(here / "photos" / "c.png", BLUE)
    report = report_of(cbir("index", "--json"))
    assert (report["added"], report["unchanged"], report["skipped"]) == (1, 2, {".mp4": 1})


def test_index_without_a_place_or_a_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cbir: Run
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cbir("index")
    assert done.exit_code == 1
    assert "cbir index PHOTOS" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_info_counts_other_files_and_blank_images(here: Path, cbir: Run) -> None:
    Image.new("RGB", (40, 40), "white").save(here / "photos" / "blank.png")
    done = cbir("index")
    assert "shows nothing" in done.stdout
    info = report_of(cbir("info", "--json"))
    assert info["skipped"] == {".mp4": 1}
    assert [Path(path).name for path in info["blank"]] == ["blank.png"]
    text = cbir("info").stdout
    assert "1 (1 .mp4)" in text
    assert "without content" in text


@pytest.mark.usefixtures("here")
def test_excludes_are_remembered(cbir: Run) -> None:
    assert report_of(cbir("index", "photos", "--exclude", "b.*", "--json"))["removed"] == 1
    assert report_of(cbir("index", "--json"))["unchanged"] == 1
    assert report_of(cbir("index", "photos", "--exclude", "", "--json"))["added"] == 1


def test_pages_and_check(here: Path, cbir: Run) -> None:
    first, second = coloured(RED), coloured(BLUE)
    first.save(here / "photos" / "scan.tif", save_all=True, append_images=[second])
    done = cbir("index")
    assert "further pages passed over: 1" in done.stdout
    assert report_of(cbir("index", "photos", "--pages", "all", "--json"))["added"] == 1
    answer = report_of(cbir("query", "photos/scan.tif#page=2", "--json", "-k", 1))
    assert answer["hits"][0]["path"].endswith("scan.tif#page=2")
    assert report_of(cbir("index", "--check", "--json"))["unchanged"] == 4


def test_a_hit_whose_file_is_gone_says_so(here: Path, cbir: Run) -> None:
    query = plain(here / "query.png", GREEN)
    (here / "photos" / "sub" / "b.png").unlink()
    hits = report_of(cbir("query", query, "--json"))["hits"]
    assert {Path(hit["path"]).name: hit["missing"] for hit in hits} == {
        "a.png": False,
        "b.png": True,
    }
    assert "(file is gone)" in " ".join(cbir("query", query).stdout.split())
    assert cbir("query", query, "--html", "page.html").exit_code == 0
    assert (here / "page.html").read_text("utf-8").count("file is gone") == 1


def test_relocate(here: Path, cbir: Run) -> None:
    (here / "photos").rename(here / "pictures")
    done = cbir("relocate", "photos", "pictures")
    assert "Relocated 2 images to pictures." in done.stdout
    assert report_of(cbir("index", "--json"))["unchanged"] == 2
    assert report_of(cbir("relocate", "pictures", "pictures", "--json")) == {
        "moved": 2,
        "missing": [],
    }
    done = cbir("relocate", "nowhere", "pictures")
    assert (done.exit_code, "knows no image" in done.stderr) == (1, True)


@pytest.mark.usefixtures("here")
def test_remove_tells_that_files_come_back(cbir: Run) -> None:
    done = cbir("remove", "photos/a.png")
    assert "--exclude leaves them out" in done.stdout
    assert report_of(cbir("index", "--json"))["added"] == 1
    report = report_of(cbir("remove", "photos/a.png", "--exclude", "--json"))
    assert report == {"removed": 1, "excluded": True}
    assert report_of(cbir("index", "--json"))["added"] == 0


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("answer", "added"), [("y\n", 0), ("n\n", 1)])
def test_remove_asks_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, cbir: Run, answer: str, added: int
) -> None:
    monkeypatch.setattr("ui.cli.stores.is_terminal", lambda: True)
    done = CliRunner().invoke(app, ["remove", "photos/a.png"], input=answer)
    assert "Leave out of later runs" in done.stdout
    assert report_of(cbir("index", "--json"))["added"] == added


# --- watch -----------------------------------------------------------------------------------


class Watcher:
    """`cbir watch` in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "ui.cli", "watch", "--json", "--settle", "0.3", *arguments]
        self.output = folder / "watch.log"
        self.errors = folder / "watch.err"
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        with (
            self.output.open("w", encoding="utf-8") as out,
            self.errors.open("w", encoding="utf-8") as err,
        ):
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=out, stderr=err, env=environment
            )

    def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Return the first reports, once there are so many."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            lines = self.output.read_text("utf-8").splitlines()
            if len(lines) >= count and "Watching" in self.errors.read_text("utf-8"):
                return [json.loads(line) for line in lines]
            assert self.process.poll() is None, self.errors.read_text("utf-8")
            time.sleep(0.1)
        raise AssertionError(f"{self.output.read_text('utf-8')} {self.errors.read_text('utf-8')}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def watch(here: Path) -> Iterator[Callable[..., Watcher]]:
    made: list[Watcher] = []

    def start(*arguments: str) -> Watcher:
        made.append(Watcher(here, *arguments))
        return made[-1]

    yield start
    for watcher in made:
        if watcher.process.poll() is None:
            watcher.process.kill()
            watcher.process.wait()


def test_watch_follows_changes_until_ctrl_c(here: Path, watch: Callable[..., Watcher]) -> None:
    watcher = watch()
    [first] = watcher.wait_for(1)
    assert (first["unchanged"], first["added"]) == (2, 0)
    plain(here / "photos" / "new" / "c.png", BLUE)
    assert watcher.wait_for(2)[1]["added"] == 1
    (here / "photos" / "new" / "c.png").rename(here / "photos" / "d.png")
    assert watcher.wait_for(3)[2]["moved"] == 1
    (here / "photos" / "d.png").unlink()
    assert watcher.wait_for(4)[3]["removed"] == 1
    time.sleep(1.5)
    assert len(watcher.wait_for(4)) == 4  # its own writing wakes it not
    assert watcher.stop() == 0
    assert "Stopped." in watcher.errors.read_text("utf-8")


def test_watch_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cbir: Run) -> None:
    monkeypatch.chdir(tmp_path)
    done = cbir("watch")
    assert done.exit_code == 1
    assert "cbir index PHOTOS" in done.stderr
