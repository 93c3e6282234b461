"""A compiled whitening gives what NumPy gives, and each row the same bits whatever is beside it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from indexer.arrays import FloatArray, unit_rows
from indexer.features.backbones import BACKBONES, DEFAULT_BACKBONE
from indexer.features.compiled_whitening import CompiledWhitening
from indexer.features.whitening import PcaProjection, Whitening, shipped_whitening

AGREEMENT = 0.999999
BACKBONE = BACKBONES[DEFAULT_BACKBONE]
TAPS = BACKBONE.region_taps


def check_agreement(found: FloatArray, expected: FloatArray) -> None:
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert (found * expected).sum(axis=1).min() > AGREEMENT


def pooled(rows: int, seed: int = 0) -> dict[str, FloatArray]:
    random = np.random.default_rng(seed)
    return {
        tap: np.abs(random.normal(size=(rows, BACKBONE.tap(tap).channels))).astype(np.float32)
        for tap in TAPS
    }


def shipped(scheme: str = "grid") -> Whitening:
    return shipped_whitening(BACKBONE.whitenings[scheme])


def adaptation(dimension: int) -> PcaProjection:
    random = np.random.default_rng(5)
    mean: FloatArray = (random.normal(size=dimension) / dimension).astype(np.float32)
    return PcaProjection(mean, random.normal(size=(dimension, dimension)).astype(np.float32))


@pytest.mark.parametrize("scheme", ["grid", "sliding"])
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_it_agrees_with_numpy(scheme: str, rows: int) -> None:
    whitening = shipped(scheme)
    vectors = pooled(rows)
    vectors["head"] *= 1000  # strength does not count
    result = CompiledWhitening(TAPS, whitening, None).apply(vectors)
    assert result.shape == (rows, whitening.dimension)
    check_agreement(result, whitening.apply(vectors))


@pytest.mark.parametrize("rows", [1, 60])
def test_an_adaptation_follows_the_whitening(rows: int) -> None:
    whitening = shipped()
    second = adaptation(whitening.dimension)
    found = CompiledWhitening(TAPS, whitening, second).apply(pooled(rows))
    check_agreement(found, second.apply(whitening.apply(pooled(rows))))


@pytest.mark.parametrize("taps", [("head",), ("stage6", "stage4")])
def test_an_adaptation_without_a_whitening(taps: tuple[str, ...]) -> None:
    vectors = pooled(9)
    joined = unit_rows(np.hstack([unit_rows(vectors[tap]) for tap in taps]))
    second = adaptation(joined.shape[1])
    found = CompiledWhitening(taps, None, second).apply(vectors)
    check_agreement(found, second.apply(joined))


def test_rows_without_activations_agree_too() -> None:
    whitening = shipped()
    vectors = pooled(4)
    for values in vectors.values():
        values[2] = 0
    result = CompiledWhitening(TAPS, whitening, None).apply(vectors)
    check_agreement(result, whitening.apply(vectors))


def test_no_rows() -> None:
    whitening = shipped()
    compiled = CompiledWhitening(TAPS, whitening, None)
    assert compiled.apply(pooled(0)).shape == (0, whitening.dimension)
    assert len(compiled.apply(pooled(3))) == 3


def test_a_row_is_the_same_to_the_last_bit_whatever_is_beside_it() -> None:
    compiled = CompiledWhitening(TAPS, shipped(), adaptation(shipped().dimension))
    vectors = pooled(200)
    together = compiled.apply(vectors)
    for rows in (1, 2, 3, 16, 17, 64, 199):
        for start in (0, 200 - rows):
            part = {tap: values[start : start + rows] for tap, values in vectors.items()}
            np.testing.assert_array_equal(compiled.apply(part), together[start : start + rows])


def test_threads_may_share_it() -> None:
    whitening = shipped()
    compiled = CompiledWhitening(TAPS, whitening, None)
    sets = [pooled(50, seed) for seed in range(16)]
    alone = [compiled.apply(vectors) for vectors in sets]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(compiled.apply, sets))
    for vectors, one, other in zip(sets, alone, together, strict=True):
        np.testing.assert_array_equal(one, other)
        check_agreement(one, whitening.apply(vectors))


def test_calls_do_not_wait_for_each_other() -> None:
    compiled = CompiledWhitening(TAPS, shipped(), None)
    at_a_time = compiled._model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
    assert at_a_time >= min(2, len(os.sched_getaffinity(0)))
    assert compiled._model.get_property("INFERENCE_NUM_THREADS") == at_a_time  # one thread each
