from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tests
from indexer.errors import StoreCorruptError
from indexer.store.store import Store
from tests.desk import Desk
from tests.pictures import plain, shades

IMAGES = 300
TREE = Path(tests.__file__).parent.parent


def start(desk: Desk) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.indexer.slow_build"]
    return subprocess.Popen([*command, str(desk.store.path), str(desk.photos)], cwd=TREE)


def wait_for_commits(process: subprocess.Popen[bytes], desk: Desk, images: int) -> None:
    deadline = time.monotonic() + 60
    while len(desk.store.known_files()) < images:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_killed_run_leaves_the_last_commit_and_the_next_one_finishes(desk: Desk) -> None:
    names = [f"{i:03}.png" for i in range(IMAGES)]
    for name, colour in zip(names, shades(IMAGES), strict=True):
        plain(desk.photos / name, colour, (16, 16))

    pause = random.Random(5)
    for wanted in (1, 60, 140):
        process = start(desk)
        try:
            wait_for_commits(process, desk, wanted)
            time.sleep(pause.uniform(0, 0.05))
        finally:
            process.kill()
            process.wait()
        opened = Desk(desk.photos, Store.open(desk.store.path))
        committed = opened.paths()
        assert wanted <= len(committed) < IMAGES
        assert len(committed) % 16 == 0  # whole commits only
        opened.check_vectors()
        opened.store.close()

    last = Desk(desk.photos, Store.open(desk.store.path))
    report = last.index()
    assert (report.added, report.unchanged) == (IMAGES - len(committed), len(committed))
    assert last.paths() == names
    last.check_vectors()
    named = {file.name.split("-")[0] for file in (last.store.path / "vectors").iterdir()}
    assert len(named) * 4 == len(list((last.store.path / "vectors").iterdir()))
    last.store.close()


def test_a_lock_of_a_killed_run_does_not_stay(desk: Desk) -> None:
    for i, colour in enumerate(shades(60)):
        plain(desk.photos / f"{i}.png", colour, (16, 16))
    process = start(desk)
    try:
        wait_for_commits(process, desk, 1)
    finally:
        process.kill()
        process.wait()
    with desk.store.writing():
        pass


@pytest.mark.parametrize("kind", ["conv", "fc"])
def test_a_missing_vector_file_is_reported(desk: Desk, kind: str) -> None:
    plain(desk.photos / "a.png", (200, 10, 10))
    desk.index()
    for file in (desk.store.path / "vectors").glob(f"*-{kind}.vectors.npy"):
        file.unlink()
    with pytest.raises(StoreCorruptError, match="missing"):
        desk.store.vector_index(desk.store.kind(kind))
