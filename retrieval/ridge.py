"""Ridge regression on labelled vectors, with what each would score had it been left out.

The scores left out need no refits: for a linear smoother with the hat matrix H, the residual of an
example that was left out is its residual divided by 1 - h (Hastie, Tibshirani and Friedman 2009,
The Elements of Statistical Learning, section 7.10; Rifkin and Lippert 2007, Notes on Regularized
Least Squares). One eigendecomposition gives them for every strength of the regularisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from indexer.arrays import BoolArray, FloatArray
from indexer.errors import ConceptError

STRENGTHS = np.logspace(-4, 1, 16)  # of the regularisation, as shares of the largest eigenvalue
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


@dataclass(frozen=True)
class _Problem:
    """Weighted, centred examples (N, D) in their principal axes, as every strength needs them.

    With `roots` (N,) the square roots of the examples' weights, the rows times `roots` are
    U S Vᵀ; `axes` (N, K) is U, `energies` (K,) are S².
    """

    rows: FloatArray
    roots: FloatArray
    targets: FloatArray
    axes: FloatArray
    energies: FloatArray

    @property
    def coordinates(self) -> FloatArray:
        """The weighted targets along the axes (K,)."""
        found: FloatArray = self.axes.T @ (self.roots * self.targets)
        return found

    def held_out(self, strength: float) -> FloatArray:
        """Return the score (N,) of each example by the model that is fitted without it."""
        kept = self.energies / (self.energies + np.float32(strength))
        fitted = (self.axes @ (kept * self.coordinates)) / self.roots
        # The mean of the examples is fitted, too: the diagonal of its hat matrix is their weights.
        leverages = np.square(self.roots) + np.square(self.axes) @ kept
        scores: FloatArray = (fitted - leverages * self.targets) / np.maximum(1 - leverages, 1e-6)
        return scores

    def error(self, strength: float) -> float:
        """Return the weighted mean square of the residuals of examples left out (PRESS)."""
        residuals = self.targets - self.held_out(strength)
        return float(np.sum(np.square(self.roots * residuals), dtype=np.float64))

    def weights(self, strength: float) -> FloatArray:
        """Return the weights (D,) of the model fitted on all examples."""
        dual = self.axes @ (self.coordinates / (self.energies + np.float32(strength)))
        weights: FloatArray = self.rows.T @ dual
        return weights


def fit_ridge(vectors: FloatArray, positive: BoolArray) -> RidgeFit:
    """Fit a ridge regression to 1 on positive and -1 on other unit vectors (N, D).

    Both classes weigh the same, however many examples they have, and the offset is not
    regularised. The strength with the least error on examples left out is taken. Raises
    `ConceptError` where all vectors are the same.
    """
    counts = np.where(positive, positive.sum(), (~positive).sum())
    roots = np.sqrt(0.5 / counts).astype(np.float32)
    mean = (np.square(roots) @ vectors).astype(np.float32)
    rows = (vectors - mean) * roots[:, None]
    axes, energies = _principal_axes(rows)
    if energies[-1] < LEAST_SPREAD:
        raise ConceptError("All examples have the same features: there is nothing to tell apart.")
    problem = _Problem(rows, roots, np.where(positive, 1, -1).astype("f4"), axes, energies)
    choices = [float(share * energies[-1]) for share in STRENGTHS]
    strength = min(choices, key=problem.error)
    weights = problem.weights(strength)
    return RidgeFit(weights, -float(weights @ mean), problem.held_out(strength), strength)


def _principal_axes(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the left singular vectors (N, K) of rows (N, D), and the squared singular values.

    They come from the smaller of the Gram matrix and the scatter matrix; values ascend.
    """
    from scipy.linalg import eigh

    few = len(rows) <= rows.shape[1]
    matrix = rows @ rows.T if few else rows.T @ rows
    energies, axes = eigh(matrix, driver="evd", check_finite=False)  # twice as fast as NumPy's
    energies = np.maximum(energies, 0)
    if not few:
        axes = (rows @ axes) / np.sqrt(np.maximum(energies, LEAST_SPREAD))
    return axes, energies
