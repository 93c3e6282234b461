"""The answer to a query depends on the query and the store, and on nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tests
from indexer.build import Builder
from indexer.choices import EngineName
from indexer.errors import CbirError
from indexer.features.engines.openvino_runtime import ov
from indexer.features.extractor import FeatureExtractor
from indexer.features.regions import Region
from indexer.features.spec import FeatureSpec
from indexer.run import BuildOptions
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.query import Hit, Query
from tests.sample import SAMPLE

TREE = Path(tests.__file__).parents[1]
PHOTOS = sorted((SAMPLE / "images").iterdir())[::3]
QUERIES = 60
TORCH_QUERIES, TORCH_PHOTOS = 12, 8  # which is several times slower
KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"feature": "fc"},
    {"search": "region"},
    {"search": "region", "box": Region(20, 10, 180, 150)},
    {"search": "region", "rerank": True, "candidates": 4},
    {"k": None},
    {"search": "region", "verify": True, "candidates": 8},
    {"search": "region", "turns": True},
)
Answer = list[tuple[int, tuple[int, int, int, int] | None, float]]


def has_bfloat16() -> bool:
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def photos_of(extractor: FeatureExtractor) -> list[Path]:
    """The photos to index and to query with."""
    in_torch = extractor.inference.description.startswith("torch")
    return PHOTOS[:TORCH_PHOTOS] if in_torch else PHOTOS


@pytest.fixture(scope="module", params=["f32", "bf16", "torch"])
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SearchEngine]:
    """An engine on the sample, computed in one precision."""
    precision = request.param
    if precision == "bf16" and not has_bfloat16():
        pytest.skip("this processor has no bfloat16: OpenVINO would compute in float32, as in f32")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBIR_PRECISION", "f32" if precision == "torch" else precision)
        spec = FeatureSpec.create()
        name: EngineName = "torch" if precision == "torch" else "openvino"
        extractor = FeatureExtractor(spec, engine=name)
        assert precision in extractor.inference.description
        store = Store.create(tmp_path_factory.mktemp("store") / ".cbir", spec)
        Builder(store, lambda: extractor).run(photos_of(extractor))
        yield SearchEngine(store, extractor=extractor)
        store.close()


@pytest.fixture(scope="module")
def queries(engine: SearchEngine) -> list[Query]:
    """Queries of every kind, those that search alike far apart."""
    asked = []
    photos = photos_of(engine.collection.extractor)
    for i in range(QUERIES if len(photos) > TORCH_PHOTOS else TORCH_QUERIES):
        photo, kind = photos[i % len(photos)], KINDS[i % len(KINDS)]
        source: dict[str, Any] = {"path": photo}
        if i % 4 == 1:
            source = {"data": photo.read_bytes()}
        elif i % 4 == 2:
            info = engine.store.find_image(photo)
            assert info is not None
            source = {"image_id": info.id}
        asked.append(Query(**source, **kind))
    return asked


def answer(hits: Sequence[Hit] | CbirError) -> Answer:
    assert not isinstance(hits, CbirError)
    return [(h.image_id, h.region.as_tuple() if h.region else None, h.score) for h in hits]


@pytest.fixture(scope="module")
def alone(engine: SearchEngine, queries: list[Query]) -> list[Answer]:
    """What each query gets when it is asked by itself, in order."""
    return [answer(engine.search(query)) for query in queries]


def test_together(engine: SearchEngine, queries: list[Query], alone: list[Answer]) -> None:
    assert [answer(hits) for hits in engine.search_many(queries)] == alone


def test_in_another_order_by_another_engine(
    engine: SearchEngine, queries: list[Query], alone: list[Answer]
) -> None:
    other = SearchEngine(engine.store, extractor=engine.collection.extractor)
    assert [answer(other.search(query)) for query in reversed(queries)] == alone[::-1]


def test_from_eight_threads(
    engine: SearchEngine, queries: list[Query], alone: list[Answer]
) -> None:
    with ThreadPoolExecutor(8) as threads:
        assert [answer(hits) for hits in threads.map(engine.search, queries)] == alone


def test_in_another_process_with_fewer_threads(
    engine: SearchEngine, queries: list[Query], alone: list[Answer]
) -> None:
    description = engine.collection.extractor.inference.description
    precision = "bf16" if "bf16" in description else "f32"
    name = "torch" if description.startswith("torch") else "openvino"
    photo, expected = queries[4].path, alone[4]
    assert photo is not None
    command = [sys.executable, "-m", "ui.cli", "query", str(photo), "--json", "--engine", name]
    command += ["--store", str(engine.store.path), "--rerank", "--candidates", "4"]
    done = subprocess.run(
        command,
        cwd=TREE,
        env=os.environ | {"CBIR_PRECISION": precision, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=120,
    )
    hits = json.loads(done.stdout)["hits"]
    assert [(hit["image_id"], tuple(hit["box"]), hit["score"]) for hit in hits] == [
        (image_id, box, round(score, 6)) for image_id, box, score in expected
    ]


def test_any_number_of_workers_makes_the_same_index(engine: SearchEngine, tmp_path: Path) -> None:
    extractor = engine.collection.extractor
    digests = set()
    for workers in (1, 2, 5):
        store = Store.create(tmp_path / str(workers), engine.store.spec)
        options = BuildOptions(workers=workers)
        Builder(store, lambda: extractor, options).run(photos_of(extractor))
        digests.add(digest(store))
        store.close()
    assert digests == {digest(engine.store)}


def digest(store: Any) -> str:
    """Return a digest of all vectors and boxes of a store."""
    made = hashlib.sha256()
    for kind in store.spec.kinds:
        rows = store.vectors.rows(kind.name)
        for segment in rows.segments:
            made.update(np.ascontiguousarray(segment.vectors.all()).tobytes())
            if kind.scope == "region":
                made.update(store.boxes(segment.ids.all().tolist()).tobytes())
    return made.hexdigest()
