"""The arrays that flow between packages, and products of them that do not depend on threads.

NumPy's matrix product may round a row differently when the number of rows or of threads changes.
The scores and lengths here are computed row by row, so that each depends on its own row alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from indexer.errors import DegenerateFeatureError

FloatArray = npt.NDArray[np.float32]
HalfArray = npt.NDArray[np.float16]
IdArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.uint8]
"""An RGB image (H, W, 3)."""
Boxes = npt.NDArray[np.float32]
"""Normalised boxes (N, 4): x0, y0, x1, y1 as fractions of the image's width and height."""

MIN_LENGTH = 1e-12  # shorter vectors have no direction
_BLAS_LIMIT = Lock()  # the limit is the process's: the last one to leave must restore it


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Run NumPy's matrix products in one thread, so that their results depend on the input alone.

    For what is learned once, such as a whitening. The limit holds for the whole process meanwhile.
    """
    with _BLAS_LIMIT, threadpool_limits(1, "blas"):
        yield


def cosines(vectors: FloatArray, query: FloatArray) -> FloatArray:
    """Return the inner products (N,) of rows (N, D) with a query (D,), each row by itself."""
    products: FloatArray = np.vecdot(vectors, query)
    return products


def row_lengths(vectors: FloatArray) -> FloatArray:
    """Return the L2 lengths (N,) of rows (N, C)."""
    lengths: FloatArray = np.sqrt(np.einsum("ij,ij->i", vectors, vectors), dtype=np.float32)
    return lengths


def unit_rows(vectors: FloatArray) -> FloatArray:
    """Return rows (N, C) at L2 length 1; a zero row stays zero."""
    lengths = np.maximum(row_lengths(vectors), MIN_LENGTH)[:, None]
    unit: FloatArray = (vectors / lengths).astype(np.float32, copy=False)
    return unit


def unit_vector(vector: FloatArray) -> FloatArray:
    """Return a vector (C,) at L2 length 1.

    Raises `DegenerateFeatureError` where it is zero or not finite.
    """
    length = float(row_lengths(vector[None])[0])
    if not math.isfinite(length) or length < MIN_LENGTH:
        raise DegenerateFeatureError(
            f"A feature vector has length {length}: it has no direction to compare. "
            "The weights or the image are unusable."
        )
    return (vector / np.float32(length)).astype(np.float32)
