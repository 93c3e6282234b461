"""Ridge regression on labelled vectors, with what each would score had it been left out.

The scores left out need no refits: for a linear smoother with the hat matrix H, the residual of an
example that was left out is its residual divided by 1 - h (Hastie, Tibshirani and Friedman 2009,
The Elements of Statistical Learning, section 7.10; Rifkin and Lippert 2007, Notes on Regularized
Least Squares). One eigendecomposition gives them for every strength of the regularisation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.arrays import BoolArray, FloatArray, IdArray, one_blas_thread
from indexer.errors import ConceptError

STRENGTHS = np.logspace(-4, 1, 16)  # of the regularisation, as shares of the largest eigenvalue
JUDGED = 2000  # examples of a class that are judged left out: more take time and tell no more

Numbers = npt.NDArray[np.floating[Any]]

LEAST_SPREAD = 1e-9  # of unit vectors, below which they are all the same


@dataclass(frozen=True)
class RidgeFit:
    """A linear model: `weights` (D,) and `offset`, near 1 for positives and -1 for negatives.

    `held_out` (J,) are the scores that the examples in the rows `judged` (J,) get from models
    fitted without them, and `strength` is the regularisation that was chosen by these.
    """

    weights: FloatArray
    offset: float
    judged: IdArray
    held_out: FloatArray
    strength: float


# On a busy machine a second thread waits more than it works: 1 s for 10,000 examples, not 3.
@one_blas_thread()
def fit_ridge(vectors: FloatArray, positive: BoolArray) -> RidgeFit:
    """Fit a ridge regression to 1 on positive and -1 on other unit vectors (N, D).

    Both classes weigh the same, however many examples they have, and the offset is not
    regularised. The strength with the least error on examples left out is taken. Raises
    `ConceptError` where all vectors are the same.
    """
    # Few examples are nearly fitted exactly: double precision, which costs little then.
    dtype = np.float64 if len(vectors) <= vectors.shape[1] else np.float32
    counts = np.where(positive, positive.sum(), (~positive).sum())
    roots = np.sqrt(0.5 / counts).astype(dtype)  # of the weights of the examples
    targets: Numbers = np.where(positive, 1.0, -1.0).astype(dtype)
    mean = np.square(roots) @ vectors.astype(dtype, copy=False)
    rows: Numbers = vectors - mean
    rows *= roots[:, None]
    judged = _judged(positive)
    axes, energies, coordinates, back = _decompose(rows, judged, roots * targets)
    if energies[-1] < LEAST_SPREAD:
        raise ConceptError("All examples have the same features: there is nothing to tell apart.")
    strengths = (STRENGTHS * energies[-1]).astype(dtype)
    kept = energies / (energies + strengths[:, None])
    fitted = (kept * coordinates) @ axes.T / roots[judged]
    # The mean of the examples is fitted, too: the diagonal of its hat matrix is their weights.
    leverages = np.square(roots[judged]) + kept @ np.square(axes).T
    wanted = targets[judged]
    held_out = (fitted - leverages * wanted) / np.maximum(1 - leverages, 1e-6)
    errors = np.square(wanted - held_out)
    best = int(sum(errors[:, wanted == mark].mean(axis=1) for mark in (1, -1)).argmin())
    weights = back @ (coordinates / (energies + strengths[best]))
    return RidgeFit(
        weights=weights.astype(np.float32),
        offset=-float(weights @ mean),
        judged=judged,
        held_out=held_out[best].astype(np.float32),
        strength=float(strengths[best]),
    )


def _judged(positive: BoolArray) -> IdArray:
    """Return the rows of examples to be judged: all, or as many of a class as are enough."""
    rows = [np.flatnonzero(mark) for mark in (positive, ~positive)]
    return np.sort(np.concatenate([r[:: -(-len(r) // JUDGED)] for r in rows]))


def _decompose(
    rows: Numbers, judged: IdArray, weighted_targets: Numbers
) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Decompose weighted, centred examples, rows (N, D) = U S Vᵀ, by the smaller of two matrices.

    These are the Gram matrix and the scatter matrix. Returns the rows `judged` (J,) of U (J, K),
    S² (K,) ascending, Uᵀ times the targets (K,), and V S (D, K).
    """
    from scipy.linalg import eigh

    few = len(rows) <= rows.shape[1]
    matrix = rows @ rows.T if few else rows.T @ rows
    energies, axes = eigh(matrix, driver="evd", check_finite=False, overwrite_a=True)
    energies = np.maximum(energies, 0)
    if few:
        return axes[judged], energies, axes.T @ weighted_targets, rows.T @ axes
    lengths = np.sqrt(np.maximum(energies, LEAST_SPREAD))
    to_axes = axes / lengths
    coordinates = to_axes.T @ (rows.T @ weighted_targets)
    return rows[judged] @ to_axes, energies, coordinates, axes * lengths
