from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.pictures import PHOTOS, photo
from ui.cli import app


@pytest.fixture(scope="session")
def cbir() -> Callable[..., Result]:
    """Run the command line in this process."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return run


@dataclass(frozen=True)
class Album:
    """Photos, a bad file beside them, and the store of them; not to be changed by tests."""

    photos: Path
    store: Path
    indexed: Result


@pytest.fixture(scope="session")
def album(
    tmp_path_factory: pytest.TempPathFactory, cbir: Callable[..., Result], _own_folders: None
) -> Album:
    folder = tmp_path_factory.mktemp("album")
    for name in PHOTOS:
        (folder / "photos").mkdir(exist_ok=True)
        photo(name).resize((320, 240)).save(folder / "photos" / f"{name}.jpg")
    (folder / "photos" / "shopping list.jpg").write_text("milk, bread", "utf-8")
    indexed = cbir("index", folder / "photos", "--store", folder / ".cbir", "--json")
    return Album(folder / "photos", folder / ".cbir", indexed)
