"""Pooled vectors become region vectors, and the score of one is split among its channels."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from indexer.arrays import FloatArray, unit_rows, unit_vector
from indexer.errors import FeatureError
from indexer.features.backbones import BACKBONES, DEFAULT_BACKBONE
from indexer.features.region_vectors import RegionProjection
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import PcaProjection

WHITENED = FeatureSpec.create()
JOINED = FeatureSpec.create(region_taps=("stage4", "stage6"))
DIMENSIONS = {WHITENED: 384, JOINED: 112 + 320}


def pooled(spec: FeatureSpec, rows: int, seed: int = 0) -> dict[str, FloatArray]:
    random = np.random.default_rng(seed)
    backbone = BACKBONES[DEFAULT_BACKBONE]
    return {
        tap: np.abs(random.normal(size=(rows, backbone.tap(tap).channels))).astype(np.float32)
        for tap in spec.region_taps
    }


def adapted(spec: FeatureSpec, pca: PcaProjection) -> RegionProjection:
    return RegionProjection(dataclasses.replace(spec, adaptation=pca.digest), pca)


def identity(dimension: int) -> PcaProjection:
    return PcaProjection(np.zeros(dimension, np.float32), np.eye(dimension, dtype=np.float32))


def query(dimension: int) -> FloatArray:
    drawn: FloatArray = np.random.default_rng(9).normal(size=dimension).astype(np.float32)
    return unit_vector(drawn)


def one_window(spec: FeatureSpec) -> dict[str, FloatArray]:
    return {tap: values[0] for tap, values in pooled(spec, 1).items()}


@pytest.mark.parametrize("spec", [WHITENED, JOINED], ids=["whitened", "joined"])
def test_vectors_are_of_unit_length(spec: FeatureSpec) -> None:
    dimension = DIMENSIONS[spec]
    for projection in (RegionProjection(spec, None), adapted(spec, identity(dimension))):
        vectors = projection.apply(pooled(spec, 5))
        assert vectors.shape == (5, dimension)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_without_a_whitening_the_taps_count_alike_and_stand_side_by_side() -> None:
    rows = pooled(JOINED, 5)
    expected = np.hstack([unit_rows(rows["stage4"]), unit_rows(rows["stage6"])]) / np.sqrt(2)
    np.testing.assert_allclose(RegionProjection(JOINED, None).apply(rows), expected, atol=1e-6)


@pytest.mark.parametrize("spec", [WHITENED, JOINED], ids=["whitened", "joined"])
def test_the_parts_of_a_score_add_up_to_it(spec: FeatureSpec) -> None:
    window, vector = one_window(spec), query(DIMENSIONS[spec])
    random = np.random.default_rng(1)
    turn: FloatArray = np.linalg.qr(random.normal(size=(len(vector), len(vector))))[0]
    rotation = PcaProjection(np.zeros(len(vector), np.float32), turn.astype(np.float32))
    for projection in (RegionProjection(spec, None), adapted(spec, rotation)):
        parts, offset = projection.attribute_score(window, vector)
        assert {tap: part.shape for tap, part in parts.items()} == {
            tap: values.shape for tap, values in window.items()
        }
        [found] = projection.apply({tap: values[None] for tap, values in window.items()})
        total = sum(float(part.sum()) for part in parts.values()) + offset
        assert total == pytest.approx(float(found @ vector), abs=1e-5)


def test_without_a_whitening_a_channel_counts_by_its_product() -> None:
    window, vector = one_window(JOINED), query(112 + 320)
    parts, offset = RegionProjection(JOINED, None).attribute_score(window, vector)
    assert offset == pytest.approx(0, abs=1e-6)
    for tap, share in (("stage4", vector[:112]), ("stage6", vector[112:])):
        expected = share * unit_vector(window[tap]) / np.sqrt(2)
        np.testing.assert_allclose(parts[tap], expected, atol=1e-6)


@pytest.mark.parametrize("spec", [WHITENED, JOINED], ids=["whitened", "joined"])
def test_an_adaptation_that_changes_nothing_leaves_the_parts(spec: FeatureSpec) -> None:
    window, vector = one_window(spec), query(DIMENSIONS[spec])
    plain, offset = RegionProjection(spec, None).attribute_score(window, vector)
    same = adapted(spec, identity(len(vector)))
    parts, adapted_offset = same.attribute_score(window, vector)
    assert adapted_offset == pytest.approx(offset, abs=1e-5)
    for tap, part in plain.items():
        np.testing.assert_allclose(parts[tap], part, atol=1e-5)


def test_an_adaptation_that_the_spec_does_not_name() -> None:
    with pytest.raises(ValueError, match="adaptation"):
        RegionProjection(WHITENED, identity(384))
    with pytest.raises(ValueError, match="adaptation"):
        RegionProjection(dataclasses.replace(WHITENED, adaptation="0123456789abcdef"), None)


def test_a_whitening_of_another_version() -> None:
    with pytest.raises(FeatureError, match="cbir index --rebuild"):
        RegionProjection(dataclasses.replace(WHITENED, whitening="0123456789abcdef"), None)
