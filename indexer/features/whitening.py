"""PCA whitening of region vectors: several taps joined into one short vector.

Each tap's pooled vector is L2-normalised, centred, projected on its principal axes and divided by
their standard deviations (Jégou and Chum 2012), L2-normalised again; the taps are joined and the
whole is reduced by a second PCA.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from indexer.arrays import (
    MIN_LENGTH,
    FloatArray,
    cosines,
    one_blas_thread,
    row_lengths,
    unit_rows,
)
from indexer.errors import FeatureError

# A second whitening, learned from the collection itself: strength and shrinkage.
COLLECTION_POWER = 0.75
COLLECTION_SHRINKAGE = 0.5
VECTORS_PER_DIMENSION = 10  # with fewer, the small eigenvalues are noise
_FILE_FAULTS = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class PcaProjection:
    """An affine map: (x - mean) @ projection, from (N, C) to (N, D)."""

    mean: FloatArray
    projection: FloatArray

    def apply(self, vectors: FloatArray) -> FloatArray:
        """Return the projected rows (N, D) at unit length."""
        centred: FloatArray = vectors - self.mean
        projected: FloatArray = centred @ self.projection
        return unit_rows(projected)

    def vjp(self, vector: FloatArray, gradient: FloatArray) -> FloatArray:
        """Return the gradient (C,) at the input, given that (D,) at the output for `vector` (C,).

        A vector-Jacobian product; the length of the projected vector counts as a constant.
        """
        projected = np.einsum("c,cd->d", vector - self.mean, self.projection)
        length = float(row_lengths(projected[None])[0])
        return cosines(self.projection, gradient) / np.float32(max(length, MIN_LENGTH))

    @property
    def digest(self) -> str:
        """A short name of exactly this projection."""
        return hashlib.sha256(self.mean.tobytes() + self.projection.tobytes()).hexdigest()[:16]

    def write(self, path: Path) -> None:
        """Write the projection as an `.npz` file."""
        with path.open("wb") as file:
            np.savez(file, mean=self.mean, projection=self.projection)

    @classmethod
    def read(cls, path: Path) -> PcaProjection:
        """Read what `write` wrote; raises `FeatureError` where it is missing or damaged."""
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                return cls(file["mean"], file["projection"])
        except _FILE_FAULTS as error:
            raise FeatureError(f"The whitening {path} cannot be read: {error}.") from error


@dataclass(frozen=True)
class Whitening:
    """Maps pooled vectors of several taps to one unit vector of `dimension` values."""

    taps: tuple[str, ...]
    by_tap: tuple[PcaProjection, ...]
    tap_weights: FloatArray
    joined: PcaProjection

    @property
    def dimension(self) -> int:
        """Length of the resulting vectors."""
        return int(self.joined.projection.shape[1])

    def apply(self, pooled: Mapping[str, FloatArray]) -> FloatArray:
        """Return (N, dimension) unit rows for pooled vectors (N, C) by tap, by NumPy.

        `CompiledWhitening` does the same with results that depend on each row alone.
        """
        vectors = [pooled[tap] for tap in self.taps]
        return self.joined.apply(_join(vectors, self.by_tap, self.tap_weights))

    def vjp(self, pooled: Mapping[str, FloatArray], gradient: FloatArray) -> dict[str, FloatArray]:
        """Return the gradients (C,) at the unit vectors of the taps, given that at the output.

        `pooled` (C,) by tap is the input; lengths count as constants, as in `PcaProjection.vjp`.
        """
        rows = [pooled[tap][None] for tap in self.taps]
        joined = _join(rows, self.by_tap, self.tap_weights)[0]
        at_joined = self.joined.vjp(joined, gradient)
        sizes = np.cumsum([part.projection.shape[1] for part in self.by_tap])[:-1]
        parts = zip(
            self.taps, rows, self.by_tap, self.tap_weights, np.split(at_joined, sizes), strict=True
        )
        return {
            tap: projection.vjp(unit_rows(row)[0], part * weight)
            for tap, row, projection, weight, part in parts
        }

    def to_bytes(self) -> bytes:
        """Return the whitening as an `.npz` file of float16 arrays."""
        arrays: dict[str, np.ndarray] = {
            "taps": np.array(self.taps),
            "tap_weights": self.tap_weights,
        }
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
                weights = file["tap_weights"].astype(np.float32)
                axes = [
                    PcaProjection(
                        file[f"{tap}.mean"].astype(np.float32),
                        file[f"{tap}.projection"].astype(np.float32),
                    )
                    for tap in (*taps, "_joined")
                ]
        except _FILE_FAULTS as error:
            raise FeatureError(f"{name} is not a whitening of cbir: {error}.") from error
        return cls(taps, tuple(axes[:-1]), weights, axes[-1])

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
        data = b"".join(a.astype(np.float16).tobytes() for a in (*values, self.tap_weights))
        return hashlib.sha256("".join(self.taps).encode() + data).hexdigest()[:16]


@lru_cache(maxsize=4)
def shipped_whitening(digest: str) -> Whitening:
    """Return the whitening of this digest that comes with cbir.

    Raises `FeatureError` where this version does not have it.
    """
    folder = Path(__file__).parent / "whitenings"
    path = folder / f"{digest}.npz"
    if not path.is_file():
        raise FeatureError(
            f"The store needs the whitening {digest}, which this cbir does not have. Use the "
            "version that built the store, or rebuild it with cbir index --rebuild."
        )
    return Whitening.read(path)


def learn_whitening(
    pooled: Mapping[str, FloatArray],
    *,
    tap_dimensions: Sequence[int],
    tap_weights: Sequence[float],
    dimension: int,
    power: float = 1.0,
    shrinkage: float = 0.0,
) -> Whitening:
    """Learn a whitening from pooled vectors (N, C) by tap.

    Each tap keeps as many axes as `tap_dimensions` says and counts by its `tap_weights`; the
    whole keeps `dimension`. `power` is the strength: axes are divided by their standard deviation
    to that power; 0 is plain PCA. `shrinkage` mixes the covariance with a multiple of the identity
    of like trace (Ledoit and Wolf 2004).

    Raises `FeatureError` where there are too few vectors to learn from.
    """
    largest = max(values.shape[1] for values in pooled.values())
    check_count(len(next(iter(pooled.values()))), largest)
    by_tap = tuple(
        principal_axes(unit_rows(values), size, power, shrinkage)
        for values, size in zip(pooled.values(), tap_dimensions, strict=True)
    )
    weights = np.array(tap_weights, np.float32)
    joined = _join(list(pooled.values()), by_tap, weights)
    return Whitening(tuple(pooled), by_tap, weights, principal_axes(joined, dimension, 0.0, 0.0))


def _join(
    vectors: Sequence[FloatArray], by_tap: Sequence[PcaProjection], weights: FloatArray
) -> FloatArray:
    parts = zip(vectors, by_tap, weights, strict=True)
    return np.hstack([part.apply(unit_rows(v)) * weight for v, part, weight in parts])


def check_count(count: int, dimension: int) -> None:
    """Raise `FeatureError` unless a whitening can be learned from `count` vectors."""
    needed = VECTORS_PER_DIMENSION * dimension
    if count < needed:
        raise FeatureError(
            f"A whitening cannot be learned from {count} region vectors: {needed} are needed. "
            "Index more photos first, or keep the whitening that comes with cbir."
        )


def principal_axes(vectors: FloatArray, size: int, power: float, shrinkage: float) -> PcaProjection:
    """Return the `size` first principal axes of the rows, scaled by variance^(-power / 2).

    The result depends on the rows alone, not on the number of BLAS threads.
    """
    with one_blas_thread():
        return _principal_axes(vectors, size, power, shrinkage)


def _principal_axes(
    vectors: FloatArray, size: int, power: float, shrinkage: float
) -> PcaProjection:
    mean = vectors.mean(axis=0, dtype=np.float64)
    centred = vectors - mean.astype(np.float32)
    covariance = (centred.T @ centred).astype(np.float64) / max(1, len(vectors) - 1)
    level = np.trace(covariance) / len(covariance)
    covariance = (1 - shrinkage) * covariance + shrinkage * level * np.eye(len(covariance))
    variances, axes = np.linalg.eigh(covariance)
    order = np.argsort(-variances)[:size]
    scale = np.maximum(variances[order], 1e-12) ** (-power / 2)
    return PcaProjection(mean.astype(np.float32), (axes[:, order] * scale).astype(np.float32))
