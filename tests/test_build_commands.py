from __future__ import annotations

import ast

import pytest

from build_commands import move_imports

PACKAGES = ("indexer", "ui")


@pytest.mark.parametrize(
    ("source", "moved"),
    [
        ("from ui import render", "from cbir.ui import render"),
        ("from indexer.errors import CbirError", "from cbir.indexer.errors import CbirError"),
        ("    from indexer.a.b import (", "    from cbir.indexer.a.b import ("),
        ("x = 1\nfrom ui.cli import main\n", "x = 1\nfrom cbir.ui.cli import main\n"),
    ],
)
def test_imports_of_the_packages_are_moved(source: str, moved: str) -> None:
    assert move_imports(source, PACKAGES) == moved


@pytest.mark.parametrize(
    "source",
    [
        "from cbir import Query",
        "from uikit.a import b",
        "from ui_kit import b",
        "from indexers import b",
        "from PIL import Image",
        "import cv2",
        "name = 'ui'  # from ui",
        "words = 'photos from indexer.a'",
        "yield from indexer.pages",
    ],
)
def test_everything_else_stays(source: str) -> None:
    assert move_imports(source, PACKAGES) == source


def test_a_moved_module_can_be_parsed() -> None:
    source = (
        "from ui.a import (\n    b,\n)\n\n\ndef f():\n    from indexer import c\n    return b, c\n"
    )
    nodes = ast.walk(ast.parse(move_imports(source, PACKAGES)))
    modules = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    assert modules == ["cbir.ui.a", "cbir.indexer"]
