"""Photos, and the stores of shards of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shards import build_parts, fill


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    fill(tmp_path / "photos")
    return tmp_path / "photos"


@pytest.fixture
def parts(photos: Path, tmp_path: Path) -> list[Path]:
    return build_parts(photos, tmp_path)
