"""A compiled whitening gives what the plain one gives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from indexer.features import extractor as extractors
from indexer.features.backbones import BACKBONES, DEFAULT_BACKBONE
from indexer.features.compiled import CompiledWhitening
from indexer.features.extractor import FeatureExtractor
from indexer.features.pooling import FloatArray
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import shipped_whitening
from tests.pictures import photo

AGREEMENT = 0.9999  # the projections may run in bf16


def check_agreement(found: FloatArray, expected: FloatArray) -> None:
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found * expected).sum(axis=1).min() > AGREEMENT


def pooled(rows: int, seed: int = 0) -> dict[str, FloatArray]:
    random = np.random.default_rng(seed)
    backbone = BACKBONES[DEFAULT_BACKBONE]
    return {
        tap: np.abs(random.normal(size=(rows, backbone.tap(tap).channels))).astype(np.float32)
        for tap in backbone.region_taps
    }


@pytest.mark.parametrize("scheme", ["grid", "sliding"])
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_it_agrees_with_numpy(scheme: str, rows: int) -> None:
    whitening = shipped_whitening(BACKBONES[DEFAULT_BACKBONE].whitenings[scheme])
    vectors = pooled(rows)
    vectors["head"] *= 1000  # strength does not count
    result = CompiledWhitening(whitening).apply(vectors)
    assert result.shape == (rows, whitening.dimension)
    assert result.dtype == np.float32
    check_agreement(result, whitening.apply(vectors))


def test_rows_without_activations_agree_too() -> None:
    whitening = shipped_whitening(BACKBONES[DEFAULT_BACKBONE].whitenings["grid"])
    vectors = pooled(4)
    for values in vectors.values():
        values[2] = 0
    result = CompiledWhitening(whitening).apply(vectors)
    check_agreement(result, whitening.apply(vectors))


def test_threads_may_share_it() -> None:
    whitening = shipped_whitening(BACKBONES[DEFAULT_BACKBONE].whitenings["grid"])
    compiled = CompiledWhitening(whitening)
    sets = [pooled(50, seed) for seed in range(16)]
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(compiled.apply, sets))
    for vectors, result in zip(sets, results, strict=True):
        check_agreement(result, whitening.apply(vectors))


def test_vectors_do_not_depend_on_which_is_used(
    lite0: FeatureExtractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photo("coffee")
    extractor = FeatureExtractor(FeatureSpec.create(), inference=lite0.inference)
    [compiled] = extractor.extract([image])
    monkeypatch.setattr(extractors, "MANY_ROWS", 10**9)
    [plain] = FeatureExtractor(FeatureSpec.create(), inference=lite0.inference).extract([image])
    check_agreement(compiled.region, plain.region)
