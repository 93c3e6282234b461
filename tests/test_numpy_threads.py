"""NumPy's threads are told how to wait before NumPy is loaded, whatever of cbir comes first."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAME = "OPENBLAS_THREAD_TIMEOUT"
CODE = f"""
import importlib.abc, os, sys

class Watch(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "numpy":
            print(os.environ.get("{NAME}"))

sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
"""


def told(module: str, given: dict[str, str]) -> str:
    """What the environment says when NumPy is first looked for."""
    others = {name: value for name, value in os.environ.items() if name != NAME}
    command = [sys.executable, "-c", CODE, module]
    ran = subprocess.run(command, env=others | given, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.mark.parametrize(
    "module", ["indexer.images", "retrieval.engine", "ui.app", "ui.thumbnails"]
)
def test_numpy_sleeps_between_products(module: str) -> None:
    assert told(module, {}) == "18"


def test_who_knows_better_is_left_alone() -> None:
    assert told("retrieval.engine", {NAME: "26"}) == "26"
