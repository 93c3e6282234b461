"""The vectors of an image are the same to the last bit, whatever else is described and where."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

import tests
from indexer.arrays import Pixels
from indexer.choices import EngineName
from indexer.features.engines.openvino_runtime import ov
from indexer.features.extractor import FeatureExtractor, ImageFeatures
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from tests.features import describe
from tests.indexer.features.print_digests import digest

TREE = Path(tests.__file__).parent.parent
NAMES = (
    "astronaut-1",
    "rocket-5",
    "bricks-2",
    "cat-3",
    "clock-1",
    "coffee-2",
    "coins-1",
    "scene-cat-and-cup",
)
PHOTOS = [TREE / "data" / "sample" / "images" / f"{name}.jpg" for name in NAMES]
REPETITIONS = 30


@dataclass(frozen=True)
class Case:
    """An engine at a precision, a scheme of regions, and how many photos are described."""

    engine: EngineName
    precision: str
    regions: str
    photos: int = len(PHOTOS)

    def __str__(self) -> str:
        return f"{self.engine}-{self.precision}-{self.regions}"


CASES = [
    *[
        Case("openvino", precision, regions, photos)
        for precision in ("f32", "bf16")
        for regions, photos in (("grid", 8), ("none", 8), ("sliding", 2))
    ],
    Case("torch", "auto", "grid", 4),
]


@dataclass(frozen=True)
class Described:
    """Photos, and what an extractor makes of each of them alone."""

    case: Case
    extractor: FeatureExtractor
    photos: list[Pixels]
    expected: list[ImageFeatures]

    def check(self, photos: Sequence[int]) -> None:
        """Describe these photos in one call, and compare."""
        found = describe(self.extractor, [self.photos[i] for i in photos])
        for i, features in zip(photos, found, strict=True):
            check_same(features, self.expected[i])


def check_same(found: ImageFeatures, expected: ImageFeatures) -> None:
    assert found.vectors.keys() == expected.vectors.keys()
    for kind, vectors in expected.vectors.items():
        assert np.array_equal(found.vectors[kind], vectors), kind
    assert np.array_equal(found.boxes, expected.boxes)


@pytest.fixture(scope="module", params=CASES, ids=str)
def described(request: pytest.FixtureRequest, _own_folders: None) -> Iterator[Described]:
    case: Case = request.param
    if case.precision == "bf16" and not has_bfloat16():
        pytest.skip("This processor has no bfloat16: OpenVINO falls back to float32 here.")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CBIR_PRECISION", case.precision)
        scales = (0.7,) if case.regions == "sliding" else None  # few windows, so that it is quick
        spec = FeatureSpec.create(regions=case.regions, scales=scales)
        extractor = FeatureExtractor(spec, engine=case.engine)
        photos = [load_image(path).pixels for path in PHOTOS[: case.photos]]
        expected = [describe(extractor, [photo])[0] for photo in photos]
        yield Described(case, extractor, photos, expected)


def has_bfloat16() -> bool:
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def test_the_engine_is_the_one_asked_for(described: Described) -> None:
    case, description = described.case, described.extractor.inference.description
    if case.engine == "openvino":
        assert description.startswith("OpenVINO")
        assert description.endswith(case.precision)
    else:
        assert description.startswith("torch")
    kinds = {kind.name for kind in described.extractor.spec.kinds}
    assert all(set(features.vectors) == kinds for features in described.expected)


def test_in_one_batch(described: Described) -> None:
    described.check(range(len(described.photos)))


def test_in_reversed_order(described: Described) -> None:
    described.check(range(len(described.photos))[::-1])


def test_from_eight_threads_at_once(described: Described) -> None:
    """Half of them describe many photos at a time, the others a few."""
    places = list(range(len(described.photos)))

    def check(thread: int) -> None:
        start = thread % len(places)
        rotated = places[start:] + places[:start]
        described.check(rotated if thread % 2 else rotated[:2])

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(check, range(8)))


def test_on_every_repetition(described: Described) -> None:
    for _ in range(REPETITIONS):
        described.check([1])


def test_from_another_process(described: Described) -> None:
    case, spec = described.case, described.extractor.spec.to_json()
    paths = map(str, PHOTOS[: case.photos])
    command = [sys.executable, "-m", "tests.indexer.features.print_digests"]
    ran = subprocess.run(
        [*command, case.engine, spec, *paths],
        cwd=TREE,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert ran.stdout.split() == [digest(features) for features in described.expected]


@pytest.mark.parametrize("limit", [1, None])
def test_whatever_threads_blas_may_use(described: Described, limit: int | None) -> None:
    with threadpool_limits(limit, "blas"):
        described.check(range(len(described.photos)))
