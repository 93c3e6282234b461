"""A store that an earlier version wrote is read, searched and extended."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

import tests
from indexer.build import index_photos
from indexer.features.extractor import FeatureExtractor
from indexer.features.regions import Region
from indexer.optimize import optimize_store
from indexer.sources.place import path_below
from indexer.store.catalog.tables import RegionRow
from indexer.store.statistics import summarize
from indexer.store.store import Store
from tests.segments import ivf_of

GOLDEN = Path(tests.__file__).parent / "golden"
PHOTOS = Path(tests.__file__).parents[1] / "data" / "sample" / "images"
NAMES = (
    "bricks-1.jpg",
    "cat-1.jpg",
    "cat-2.jpg",
    "clock-1.jpg",
    "coffee-1.jpg",
    "coffee-2.jpg",
    "coins-1.jpg",
    "coins-2.jpg",
    "scene-cat-and-cup.jpg",
)
REMOVED = 7  # the id of an image whose vectors are still in the segments
REGIONS = 441
FINGERPRINT = "10f2dbdd1627768d2d6c6234d90a0d4db421855ea7b500a2767e760b62ca25ea"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store as it was written, and its photos beside it; not to be changed."""
    folder = tmp_path_factory.mktemp("golden")
    shutil.copytree(GOLDEN / "store-0004", folder / ".cbir")
    (folder / "photos").mkdir()
    for name in NAMES:
        shutil.copyfile(PHOTOS / name, folder / "photos" / name)
    return folder


@pytest.fixture
def store(written: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    opened = Store.open(tmp_path / ".cbir", trusts=True)
    yield opened
    opened.close()


def photos_of(store: Store) -> Path:
    return store.path.parent / "photos"


def regions_of(store: Store, image_id: int) -> list[int]:
    wanted = select(RegionRow.id).where(RegionRow.image_id == image_id).order_by(RegionRow.id)
    with store.catalog.session() as session:
        return list(session.scalars(wanted))


def no_extractor() -> FeatureExtractor:
    raise AssertionError("an image is to be described again")


def check_contents(store: Store) -> None:
    assert store.roots() == {1: photos_of(store)}
    known = store.known_files()
    assert sorted(known) == [(1, name) for name in NAMES]
    assert all(file.reason is None for file in known.values())
    summary = summarize(store)
    assert (summary.images, summary.failed) == (len(NAMES), [])
    assert summary.vectors == {"conv": len(NAMES), "fc": len(NAMES), "region": REGIONS}
    assert summary.dimensions == {"conv": 1280, "fc": 1000, "region": 384}
    for kind in store.spec.kinds:
        index = store.vector_index(kind)
        assert len(index) == summary.vectors[kind.name]
        for file in known.values():
            ids, vectors = index.rows_of_image(file.id)
            np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
            assert ids.tolist() == (
                [file.id] if kind.scope == "image" else regions_of(store, file.id)
            )
        with pytest.raises(KeyError):
            index.rows_of_image(REMOVED)


def test_all_that_it_holds_is_there(store: Store) -> None:
    check_contents(store)
    assert (store.spec.backbone, store.spec.regions) == ("efficientnet_lite0", "grid")
    assert store.spec.fingerprint == FINGERPRINT
    assert store.index_type == "balanced"
    for kind in store.spec.kinds:
        ivf = ivf_of(store, kind)
        assert ivf is not None
        assert len(ivf) == (10 if kind.scope == "image" else 490)


def test_its_images_and_boxes_are_known(store: Store) -> None:
    image = store.find_image(photos_of(store) / "cat-1.jpg")
    assert image is not None
    assert (image.id, image.width, image.height) == (1, 451, 300)
    index = store.vector_index(store.find_kind("conv", "region"))
    ids, vectors = index.rows_of_image(image.id)
    regions = store.regions(ids.tolist())
    assert [*regions] == ids.tolist()
    assert regions[int(ids[0])] == Region(0, 0, 451, 300)
    for region in regions.values():
        region.require_inside(451, 300)
    # Each of its regions finds itself.
    for row, match in zip(ids.tolist(), index.search(vectors, 1), strict=True):
        assert match.ids.tolist() == [row]


def test_nothing_is_described_again(store: Store) -> None:
    for i, name in enumerate(NAMES):
        os.utime(photos_of(store) / name, (1_000 + i, 1_000 + i))  # the time of the copy tells less
    for _ in range(2):
        report = index_photos(store, [photos_of(store)], no_extractor)
        assert report.unchanged == len(NAMES)
        assert (report.added, report.updated, report.moved, report.removed) == (0, 0, 0, 0)
        assert report.failed == []
        check_contents(store)


def test_a_renamed_photo_is_recognised(store: Store) -> None:
    photos = photos_of(store)
    before = store.find_image(photos / "cat-2.jpg")
    (photos / "cat-2.jpg").rename(photos / "tom.jpg")
    report = index_photos(store, [photos], no_extractor)
    assert (report.moved, report.unchanged) == (1, len(NAMES) - 1)
    after = store.find_image(photos / "tom.jpg")
    assert before is not None
    assert after is not None
    assert after.id == before.id


def test_it_can_be_optimized(store: Store) -> None:
    reports = optimize_store(store)
    assert [(report.kind, report.rows, report.index_type) for report in reports] == [
        ("conv", len(NAMES), "balanced"),
        ("fc", len(NAMES), "balanced"),
        ("region", REGIONS, "balanced"),
    ]
    check_contents(store)


# --- queries --------------------------------------------------------------------------------------

ANSWERS: dict[str, list[dict[str, Any]]] = json.loads(
    (GOLDEN / "answers-0004.json").read_text("utf-8")
)
BOX = Region(10, 10, 300, 250)
CHOICES: dict[str, dict[str, Any]] = {
    "image": {},
    "fc": {"feature": "fc"},
    "region": {"search": "region"},
    "box": {"search": "region", "box": BOX},
    "rerank": {"search": "region", "rerank": True},
}


@pytest.fixture(scope="module")
def exact_network(written: Path) -> Iterator[FeatureExtractor]:
    """The real network of the store in float32."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBIR_PRECISION", "f32")
        store = Store.open(written / ".cbir")
        yield FeatureExtractor(store.spec, engine="openvino")
        store.close()


@pytest.mark.parametrize("asked", [*ANSWERS])
def test_queries_are_answered_as_before(
    written: Path, exact_network: FeatureExtractor, asked: str
) -> None:
    from retrieval.engine import SearchEngine
    from retrieval.query import Query

    name, choice = asked.split(" ")
    store = Store.open(written / ".cbir", trusts=True)
    query = Query(path=written / "photos" / name, k=5, **CHOICES[choice])
    hits = SearchEngine(store, extractor=exact_network).search(query)
    expected = ANSWERS[asked]
    paths = [path_below(written / "photos", hit.path) for hit in hits]
    assert paths[0] == expected[0]["path"]
    if choice != "rerank":
        assert paths == [hit["path"] for hit in expected]
        scores = [hit.score for hit in hits]
        np.testing.assert_allclose(scores, [hit["score"] for hit in expected], atol=1e-3)
        boxes = [None if hit.region is None else [*hit.region.as_tuple()] for hit in hits]
        assert boxes == [hit["box"] for hit in expected]
    store.close()
