from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.arrays import FloatArray, unit_rows
from indexer.errors import FeatureError
from indexer.features import whitening as module
from indexer.features.backbones import BACKBONES, DEFAULT_BACKBONE, Backbone
from indexer.features.whitening import (
    VECTORS_PER_DIMENSION,
    PcaProjection,
    Whitening,
    learn_whitening,
    principal_axes,
    shipped_whitening,
)

CHANNELS = {"inner": 6, "outer": 10}
WHITENED = [
    (backbone, digest) for backbone in BACKBONES.values() for digest in backbone.whitenings.values()
]


def correlated(seed: int, rows: int, dimension: int) -> FloatArray:
    """Positive vectors whose components depend on each other, as pooled activations do."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(dimension, dimension)) * np.linspace(0.1, 2, dimension)
    drawn = np.exp(random.normal(size=(rows, dimension)) @ mixing * 0.3)
    return drawn.astype(np.float32)


def pooled(seed: int = 1, rows: int = 400) -> dict[str, FloatArray]:
    return {tap: correlated(seed + i, rows, c) for i, (tap, c) in enumerate(CHANNELS.items())}


def learn(vectors: dict[str, FloatArray], power: float = 1.0) -> Whitening:
    return learn_whitening(
        vectors, tap_dimensions=[4, 6], tap_weights=[0.5, 1.0], dimension=5, power=power
    )


def test_vectors_of_all_taps_become_one_unit_vector() -> None:
    whitening = learn(pooled())
    vectors = whitening.apply(pooled(seed=7, rows=20))
    assert (whitening.taps, whitening.dimension) == (("inner", "outer"), 5)
    assert vectors.shape == (20, 5)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_strength_of_activations_does_not_count() -> None:
    whitening, vectors = learn(pooled()), pooled(seed=7, rows=20)
    brighter = {tap: values * np.float32(40) for tap, values in vectors.items()}
    np.testing.assert_allclose(whitening.apply(brighter), whitening.apply(vectors), atol=1e-4)


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_few_rows_are_projected_as_many_are(order: Literal["C", "F"]) -> None:
    random = np.random.default_rng(2)
    mean: FloatArray = random.normal(size=320).astype(np.float32)
    projection: FloatArray = random.normal(size=(320, 40)).astype(np.float32)
    pca = PcaProjection(mean, np.asarray(projection, order=order))
    vectors: FloatArray = random.normal(size=(12, 320)).astype(np.float32)
    expected = unit_rows(((vectors - mean) @ projection).astype(np.float32))
    for rows in (0, 1, 5, 12):
        projected = pca.apply(vectors[:rows])
        assert projected.shape == (rows, 40)
        np.testing.assert_allclose(projected, expected[:rows], atol=1e-5)


def test_the_gradient_of_a_projection() -> None:
    random = np.random.default_rng(3)
    pca = principal_axes(correlated(3, 200, 8), 5, 1.0, 0.0)
    vector, gradient = (random.normal(size=size).astype(np.float32) for size in (8, 5))
    centred = (vector - pca.mean).astype(np.float64)
    length = np.linalg.norm(centred @ pca.projection)
    for step in np.eye(8) * 1e-3:
        there = (centred + step) @ pca.projection @ gradient / length
        here = centred @ pca.projection @ gradient / length
        assert pca.vjp(vector, gradient) @ step == pytest.approx(there - here, rel=1e-3, abs=1e-6)


def test_the_gradients_of_a_whitening_add_up_along_the_taps() -> None:
    """With lengths held, a whitening is affine: the gradients give each difference exactly."""
    whitening = learn(pooled())
    vectors = {tap: values[0] for tap, values in pooled(seed=7, rows=1).items()}
    query: FloatArray = np.random.default_rng(4).normal(size=5).astype(np.float32)
    gradients = whitening.vjp(vectors, query)
    assert {tap: values.shape for tap, values in gradients.items()} == {
        "inner": (6,),
        "outer": (10,),
    }

    parts, lengths = [], []
    for tap, pca, weight in zip(
        whitening.taps, whitening.by_tap, whitening.tap_weights, strict=True
    ):
        projected = (unit_rows(vectors[tap][None])[0] - pca.mean) @ pca.projection
        lengths.append(np.linalg.norm(projected))
        parts.append(projected / lengths[-1] * weight)
    joined = (np.concatenate(parts) - whitening.joined.mean) @ whitening.joined.projection
    for i, (tap, pca) in enumerate(zip(whitening.taps, whitening.by_tap, strict=True)):
        steps = [np.zeros_like(part) for part in parts]
        change: FloatArray = np.random.default_rng(i).normal(size=CHANNELS[tap]).astype(np.float32)
        steps[i] = change @ pca.projection / lengths[i] * whitening.tap_weights[i]
        moved = np.concatenate(steps) @ whitening.joined.projection @ query
        expected = moved / np.linalg.norm(joined)
        assert gradients[tap] @ change == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_the_heavier_tap_counts_more() -> None:
    vectors = pooled()
    light, heavy = (
        learn_whitening(vectors, tap_dimensions=[4, 6], tap_weights=[w, 1.0], dimension=10)
        for w in (0.1, 1.0)
    )
    asked = pooled(seed=7, rows=20)
    other = asked | {"inner": asked["inner"][::-1]}  # the light tap sees something else
    agreement = [(w.apply(asked) * w.apply(other)).sum(axis=1).mean() for w in (light, heavy)]
    assert agreement[0] > agreement[1] + 0.1


def test_bytes_and_back() -> None:
    whitening = learn(pooled())
    again = Whitening.from_bytes(whitening.to_bytes(), name="w")
    assert again.taps == whitening.taps
    assert again.digest == whitening.digest
    assert again.to_bytes() == whitening.to_bytes()
    assert re.fullmatch("[0-9a-f]{16}", again.digest)
    vectors = pooled(seed=7, rows=20)
    agreement = (again.apply(vectors) * whitening.apply(vectors)).sum(axis=1)
    assert agreement.min() > 0.999  # float16 in the file


def test_another_whitening_has_another_digest() -> None:
    digests = {learn(pooled()).digest, learn(pooled(seed=3)).digest, learn(pooled(), 0.5).digest}
    assert len(digests) == 3


@given(st.integers(0, 99), st.integers(2, 8), st.floats(0, 1))
@settings(max_examples=30)
def test_principal_axes_scale_the_variance(seed: int, dimension: int, power: float) -> None:
    vectors = correlated(seed, 500, dimension)
    axes = principal_axes(vectors, dimension, power, 0.0)
    projected = (vectors - axes.mean).astype(np.float64) @ axes.projection
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=0.02)
    covariance = np.cov(projected, rowvar=False)
    variances = np.sort(np.linalg.eigvalsh(np.cov(vectors.astype(np.float64), rowvar=False)))[::-1]
    # Along an axis of variance v it is v^(1 - power) now: 1 where power is 1.
    np.testing.assert_allclose(np.diag(covariance), variances ** (1 - power), rtol=0.03)
    spread = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    correlation = covariance / spread - np.eye(dimension)
    assert np.abs(correlation).max() < 0.03


def test_the_first_axes_are_those_of_the_largest_variance() -> None:
    random = np.random.default_rng(1)
    vectors = (random.normal(size=(2000, 4)) * [0.1, 5, 1, 0.5] + 3).astype(np.float32)
    axes = principal_axes(vectors, 2, 0.0, 0.0)
    assert np.abs(axes.projection).argmax(axis=0).tolist() == [1, 2]
    np.testing.assert_allclose(np.linalg.norm(axes.projection, axis=0), 1, rtol=1e-4)


def test_shrinkage_holds_small_axes_back() -> None:
    vectors = correlated(1, 500, 6)
    scales = [
        np.linalg.norm(principal_axes(vectors, 6, 1.0, s).projection, axis=0) for s in (0.0, 0.5, 1)
    ]
    assert scales[0][-1] > scales[1][-1] > scales[2][-1]
    np.testing.assert_allclose(scales[2], scales[2][0], rtol=1e-4)  # nothing left but the identity


def test_too_few_vectors_name_how_many_are_needed() -> None:
    needed = VECTORS_PER_DIMENSION * max(CHANNELS.values())
    assert learn(pooled(rows=needed))
    with pytest.raises(FeatureError, match=rf"from {needed - 1} .*: {needed} are needed"):
        learn(pooled(rows=needed - 1))


# --- what comes with cbir ----------------------------------------------------------------------


def test_the_default_backbone_has_a_whitening() -> None:
    assert set(BACKBONES[DEFAULT_BACKBONE].whitenings) == {"grid", "sliding"}


@pytest.mark.parametrize(("backbone", "digest"), WHITENED)
def test_a_shipped_whitening_fits_its_backbone(backbone: Backbone, digest: str) -> None:
    whitening = shipped_whitening(digest)
    assert whitening.digest == digest
    assert set(whitening.taps) == set(backbone.region_taps)
    assert len(whitening.tap_weights) == len(whitening.taps)
    for tap, axes in zip(whitening.taps, whitening.by_tap, strict=True):
        assert backbone.tap(tap).kind == "conv"
        assert axes.mean.shape == (backbone.tap(tap).channels,)
        assert axes.projection.shape[0] == backbone.tap(tap).channels
    joined = sum(axes.projection.shape[1] for axes in whitening.by_tap)
    assert whitening.joined.projection.shape == (joined, whitening.dimension)
    for axes in (*whitening.by_tap, whitening.joined):
        assert np.isfinite(axes.mean).all()
        assert np.isfinite(axes.projection).all()


def test_every_shipped_whitening_is_used() -> None:
    shipped = {path.stem for path in (Path(module.__file__).parent / "whitenings").iterdir()}
    assert shipped == {digest for _, digest in WHITENED}


@pytest.mark.parametrize("digest", ["0123456789abcdef", "nonsense", "../whitening"])
def test_an_unknown_digest(digest: str) -> None:
    with pytest.raises(FeatureError, match=rf"{re.escape(digest)}.*cbir index --rebuild"):
        shipped_whitening(digest)


# --- damaged files -----------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def scribble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200:400] = b"\xa5" * 200
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def write_text(path: Path) -> None:
    path.write_text("<html>404</html>", "utf-8")


def only_array(path: Path) -> None:
    out = io.BytesIO()
    np.save(out, np.ones(3, np.float32))
    path.write_bytes(out.getvalue())


def other_names(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, colour=np.ones(3))


def pickled(path: Path) -> None:
    objects = np.array([{"a": 1}], dtype=object)
    names = ("taps", "tap_weights", "mean", "projection")
    with path.open("wb") as file:
        named: dict[str, Any] = dict.fromkeys(names, objects)
        np.savez(file, **named)


HARMS = [cut, scribble, empty, write_text, only_array, other_names, pickled, Path.unlink]


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_whitening_is_named(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    path = tmp_path / "some.npz"
    path.write_bytes(learn(pooled()).to_bytes())
    assert Whitening.read(path).dimension == 5
    harm(path)
    with pytest.raises(FeatureError, match=r"some\.npz"):
        Whitening.read(path)


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_projection_is_named(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    path = tmp_path / "some.npz"
    pca = principal_axes(correlated(1, 100, 8), 8, 1.0, 0.0)
    pca.write(path)
    read = PcaProjection.read(path)
    assert read.digest == pca.digest
    np.testing.assert_array_equal(read.projection, pca.projection)
    harm(path)
    with pytest.raises(FeatureError, match=r"some\.npz"):
        PcaProjection.read(path)
