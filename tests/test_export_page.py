"""The examples of docs/export.md work."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import tests
from indexer.exports.write import export_store
from indexer.store.store import Store
from tests.shards import build, fill

PAGE = Path(tests.__file__).parent.parent / "docs" / "export.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    fill(folder / "photos")
    build(folder / "photos", folder / ".cbir")
    store = Store.open(folder / ".cbir")
    export_store(store, folder / "exported")
    export_store(store, folder / "arrays", format="numpy", kinds=["conv"])
    store.close()
    return folder


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example(exported: Path, example: str) -> None:
    command = [sys.executable, "-W", "error", "-c", example]
    done = subprocess.run(command, cwd=exported, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert ".png" in done.stdout
