"""`cbir`, the module that users import: complete, lazy, and enough for the README's examples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cbir
import tests
from cbir import FeatureSpec, Localization, Query, Region, SearchEngine, index_photos, localize
from indexer.errors import CbirError, NoImagesError, SpecMismatchError
from tests.pictures import RED, plain
from tests.sample import SAMPLE

TREE = Path(tests.__file__).parents[1]


def test_every_name_is_there() -> None:
    assert dir(cbir) == cbir.__all__ == sorted(cbir.__all__)
    for name in cbir.__all__:
        assert getattr(cbir, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Teacher'"):
        _ = cbir.Teacher


def test_the_import_loads_nothing() -> None:
    code = "import cbir, sys; print(sorted({'numpy', 'PIL', 'cv2', 'torch'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TREE, capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout == "[]\n"


def test_photos_are_indexed_searched_and_located(tmp_path: Path) -> None:
    photos = [SAMPLE / "images" / f"{name}.jpg" for name in ("cat-1", "coffee-1", "coins-1")]
    steps: list[str] = []

    def progress(step: str, done: int, total: int, *, failed: int = 0) -> None:
        assert done <= total
        assert failed == 0
        steps.append(step)

    report = index_photos(photos, tmp_path / ".cbir", progress=progress)
    assert (report.added, report.failed) == (3, [])
    assert "Indexing" in steps
    assert index_photos(photos, tmp_path / ".cbir").unchanged == 3

    engine = SearchEngine.open(tmp_path / ".cbir")
    box = Region(20, 10, 300, 250)
    hits = engine.search(Query(path=photos[0], box=box, search="region", k=2))
    assert [hit.path for hit in hits][:1] == photos[:1]
    query = Query(path=photos[0], search="region")
    found = localize(engine, query, SAMPLE / "images" / "scene-cat-and-cup.jpg")
    assert isinstance(found, Localization)
    assert found.score > 0.5


def test_another_spec_than_the_stores_is_refused(tmp_path: Path) -> None:
    plain(tmp_path / "photos" / "red.png", RED)
    small = FeatureSpec.create(size_px=64, regions="none")
    index_photos([tmp_path / "photos"], tmp_path / ".cbir", spec=small)
    with pytest.raises(SpecMismatchError, match="size_px=64"):
        index_photos([tmp_path / "photos"], tmp_path / ".cbir", spec=FeatureSpec.create())


def test_a_place_without_photos(tmp_path: Path) -> None:
    with pytest.raises(NoImagesError, match="no file or folder"):
        index_photos([tmp_path / "nowhere"], tmp_path / ".cbir")
    assert not (tmp_path / ".cbir").exists()


def test_a_url_is_taken_as_one(tmp_path: Path) -> None:
    with pytest.raises(CbirError, match="ftp:// is not read"):
        index_photos(["ftp://host/photos"], tmp_path / ".cbir")
    assert not (tmp_path / ".cbir").exists()
