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

from indexer.arrays import BoolArray, FloatArray, one_blas_thread
from indexer.errors import ConceptError

STRENGTHS = np.logspace(-4, 1, 16)  # of the regularisation, as shares of the largest eigenvalue
Numbers = npt.NDArray[np.floating[Any]]

LEAST_SPREAD = 1e-9  # of unit vectors, below which they are all the same


@dataclass(frozen=True)
class RidgeFit:
    """A linear model: `weights` (D,) and `offset`, near 1 for positives and -1 for negatives.

    `held_out` (N,) are the scores that the examples get from models fitted without them, and
    `strength` is the regularisation that was chosen by these.
    """

    weights: FloatArray
    offset: float
    held_out: FloatArray
    strength: float


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
    axes, energies = _principal_axes(rows)
    if energies[-1] < LEAST_SPREAD:
        raise ConceptError("All examples have the same features: there is nothing to tell apart.")
    coordinates = axes.T @ (roots * targets)
    strengths = (STRENGTHS * energies[-1]).astype(dtype)
    held_out = _held_out(axes, energies / (energies + strengths[:, None]), roots, targets)
    errors = np.square(roots * (targets - held_out)).sum(axis=1)
    best = int(errors.argmin())
    weights = rows.T @ (axes @ (coordinates / (energies + strengths[best])))
    return RidgeFit(
        weights=weights.astype(np.float32),
        offset=-float(weights @ mean),
        held_out=held_out[best].astype(np.float32),
        strength=float(strengths[best]),
    )


def _held_out(axes: Numbers, kept: Numbers, roots: Numbers, targets: Numbers) -> Numbers:
    """Return the scores (S, N) of examples by models that are fitted without them.

    `axes` (N, K) are their principal axes, of which each of S strengths leaves the shares `kept`
    (S, K), and `roots` (N,) the square roots of their weights.
    """
    coordinates = axes.T @ (roots * targets)
    fitted = (kept * coordinates) @ axes.T / roots
    # The mean of the examples is fitted, too: the diagonal of its hat matrix is their weights.
    leverages = np.square(roots) + kept @ np.square(axes).T
    scores: Numbers = (fitted - leverages * targets) / np.maximum(1 - leverages, 1e-6)
    return scores


def _principal_axes(rows: Numbers) -> tuple[Numbers, Numbers]:
    """Return the left singular vectors (N, K) of rows (N, D), and the squared singular values.

    They come from the smaller of the Gram matrix and the scatter matrix; values ascend.
    """
    from scipy.linalg import eigh

    few = len(rows) <= rows.shape[1]
    matrix = rows @ rows.T if few else rows.T @ rows
    with (
        one_blas_thread()
    ):  # a second one waits more than it works: 0.4 s, not 11, on a busy machine
        energies, axes = eigh(matrix, driver="evd", check_finite=False, overwrite_a=True)
    energies = np.maximum(energies, 0)
    if not few:
        axes = rows @ (axes / np.sqrt(np.maximum(energies, LEAST_SPREAD)))
    return axes, energies
