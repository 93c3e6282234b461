"""PCA whitening of region vectors: several taps joined into one short vector.

Each tap's pooled vector is L2-normalised, centred, projected on its principal axes and divided by
their standard deviations (Jégou and Chum 2012), L2-normalised again; the taps are joined and the
whole is reduced by a second PCA.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.errors import FeatureError
from indexer.features.pooling import FloatArray

VECTORS_PER_DIMENSION = 10  # fewer than this, and the small eigenvalues are noise


@dataclass(frozen=True)
class Axes:
    """An affine map: (x - mean) @ projection, from (N, C) to (N, D)."""

    mean: FloatArray
    projection: FloatArray

    def apply(self, vectors: FloatArray) -> FloatArray:
        """Return the projected rows at unit length."""
        centred: FloatArray = vectors - self.mean
        return unit_rows(centred @ self.projection)


@dataclass(frozen=True)
class Whitening:
    """Maps pooled vectors of several taps to one unit vector of `dimension` values."""

    taps: tuple[str, ...]
    by_tap: tuple[Axes, ...]
    joined: Axes

    @property
    def dimension(self) -> int:
        """Length of the resulting vectors."""
        return int(self.joined.projection.shape[1])

    def apply(self, pooled: Mapping[str, FloatArray]) -> FloatArray:
        """Return (N, dimension) unit rows for pooled vectors (N, C) by tap."""
        parts = [
            axes.apply(unit_rows(pooled[tap]))
            for tap, axes in zip(self.taps, self.by_tap, strict=True)
        ]
        return self.joined.apply(np.hstack(parts))

    def to_bytes(self) -> bytes:
        """Return the whitening as an `.npz` file of float16 arrays."""
        arrays: dict[str, np.ndarray] = {"taps": np.array(self.taps)}
        for name, axes in zip((*self.taps, "_joined"), (*self.by_tap, self.joined), strict=True):
            arrays[f"{name}.mean"] = axes.mean.astype(np.float32)
            arrays[f"{name}.projection"] = axes.projection.astype(np.float16)
        out = io.BytesIO()
        np.savez_compressed(out, allow_pickle=False, **arrays)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str) -> Whitening:
        """Read what `to_bytes` gave; raises `FeatureError` where it is not a whitening."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                taps = tuple(str(tap) for tap in file["taps"])
                axes = [
                    Axes(
                        file[f"{tap}.mean"].astype(np.float32),
                        file[f"{tap}.projection"].astype(np.float32),
                    )
                    for tap in (*taps, "_joined")
                ]
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise FeatureError(f"{name} is not a whitening of cbir: {error}.") from error
        return cls(taps, tuple(axes[:-1]), axes[-1])

    @classmethod
    def read(cls, path: Path) -> Whitening:
        """Read a whitening file."""
        try:
            return cls.from_bytes(path.read_bytes(), name=str(path))
        except OSError as error:
            raise FeatureError(f"The whitening {path} cannot be read: {error.strerror}.") from error

    @property
    def digest(self) -> str:
        """A short name of exactly this whitening, part of the feature spec."""
        values = [a for axes in (*self.by_tap, self.joined) for a in (axes.mean, axes.projection)]
        data = b"".join(a.astype(np.float16).tobytes() for a in values)
        return hashlib.sha256("".join(self.taps).encode() + data).hexdigest()[:16]


def learn_whitening(
    pooled: Mapping[str, FloatArray],
    *,
    tap_dimensions: Sequence[int],
    dimension: int,
    power: float = 1.0,
    shrinkage: float = 0.0,
) -> Whitening:
    """Learn a whitening from pooled vectors (N, C) by tap.

    `power` is the strength: axes are divided by their standard deviation to that power; 0 is
    plain PCA. `shrinkage` mixes the covariance with a multiple of the identity of like trace
    (Ledoit and Wolf 2004). Raises `FeatureError` where there are too few vectors to learn from.
    """
    count = len(next(iter(pooled.values())))
    needed = VECTORS_PER_DIMENSION * max(values.shape[1] for values in pooled.values())
    if count < needed:
        raise FeatureError(
            f"A whitening cannot be learned from {count} region vectors: {needed} are needed. "
            "Index more photos first, or keep the whitening that comes with cbir."
        )
    by_tap = tuple(
        principal_axes(unit_rows(values), size, power, shrinkage)
        for values, size in zip(pooled.values(), tap_dimensions, strict=True)
    )
    joined = np.hstack(
        [axes.apply(unit_rows(v)) for axes, v in zip(by_tap, pooled.values(), strict=True)]
    )
    return Whitening(tuple(pooled), by_tap, principal_axes(joined, dimension, 0.0, 0.0))


def principal_axes(vectors: FloatArray, size: int, power: float, shrinkage: float) -> Axes:
    """Return the `size` first principal axes of the rows, scaled by variance^(-power / 2)."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    centred = vectors - mean.astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / max(1, len(vectors) - 1)
    level = np.trace(covariance) / len(covariance)
    covariance = (1 - shrinkage) * covariance + shrinkage * level * np.eye(len(covariance))
    variances, axes = np.linalg.eigh(covariance)
    order = np.argsort(-variances)[:size]
    scale = np.maximum(variances[order], 1e-12) ** (-power / 2)
    return Axes(mean.astype(np.float32), (axes[:, order] * scale).astype(np.float32))


def unit_rows(vectors: FloatArray) -> FloatArray:
    """Return rows at L2 length 1; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: FloatArray = (vectors / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit
