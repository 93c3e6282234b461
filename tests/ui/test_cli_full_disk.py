"""A disk that is full, or may only be read: what is committed stays, and the message names it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from indexer.diagnosis import examine
from indexer.store.store import Store
from tests.pictures import noise

pytest.importorskip("resource", reason="Windows has no limit of the size of a file")
LIMITED = (
    "import resource, sys; limit = int(sys.argv.pop(1));"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit));"
    "from ui.cli import main; main()"
)


def index(folder: Path, limit: int) -> subprocess.CompletedProcess[str]:
    """Index where no file may grow beyond a limit, which the system reports like a full disk."""
    words = [sys.executable, "-c", LIMITED, str(limit), "index", str(folder / "photos")]
    words += ["--store", str(folder / ".cbir")]
    return subprocess.run(words, capture_output=True, encoding="utf-8", check=False)


@pytest.fixture
def indexed(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    for seed in range(3):
        Image.fromarray(noise(seed, 200, 200)).save(tmp_path / "photos" / f"{seed}.png")
    assert index(tmp_path, 1 << 40).returncode == 0
    for seed in range(3, 9):
        Image.fromarray(noise(seed, 200, 200)).save(tmp_path / "photos" / f"{seed}.png")
    return tmp_path


@pytest.mark.parametrize("limit", [20_000, 150_000, 250_000])
def test_what_was_committed_stays_and_the_next_run_continues(indexed: Path, limit: int) -> None:
    before = {path.name for path in (indexed / ".cbir" / "vectors").iterdir()}
    done = index(indexed, limit)
    assert done.returncode == 1, done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert str(indexed / ".cbir") in line
    assert "Traceback" not in done.stderr
    assert {path.name for path in (indexed / ".cbir" / "vectors").iterdir()} == before
    found = examine(indexed / ".cbir")
    assert found.is_clean
    assert found.images == 3
    assert index(indexed, 1 << 40).returncode == 0
    assert examine(indexed / ".cbir").images == 9


def test_a_store_that_may_only_be_read_is_searched_and_not_changed(
    indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.store.catalog.connection.os.access", lambda *_: False)
    store = Store.open(indexed / ".cbir")
    assert len(store.image_infos([1, 2, 3])) == 3
    assert len(store.vector_index(store.spec.kinds[0])) == 3
    store.close()
