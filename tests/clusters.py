"""Unit vectors in clusters, ten to an image, as the windows of photos are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from indexer.arrays import FloatArray
from indexer.choices import IndexType
from indexer.store.vectors.ivf import IvfIndex
from indexer.store.vectors.segments import Rows, Segment
from tests.segments import segment_of

ROWS = 6000
DIMENSION = 32
WINDOWS = 10


def normed(vectors: npt.NDArray[np.float64]) -> FloatArray:
    result: FloatArray = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("f4")
    return result


def clustered(seed: int, rows: int) -> FloatArray:
    """Points round centres that are the same for every seed."""
    centres = np.random.default_rng(0).normal(size=(60, DIMENSION))
    random = np.random.default_rng(seed)
    own = centres[random.integers(0, len(centres), rows)]
    return normed(own + 0.6 * random.normal(size=(rows, DIMENSION)))


def segment(first_image: int, rows: int, seed: int = 1) -> Segment:
    """Images numbered from `first_image`, and their rows from ten times that."""
    image_ids = first_image + np.arange(rows) // WINDOWS
    ids = first_image * WINDOWS + np.arange(rows)
    return segment_of(ids, image_ids, clustered(seed, rows).astype(np.float16))


def trained(rows: Rows, index_type: IndexType) -> IvfIndex:
    """Return an IVF index of `rows`, with short codes and few questions, so that it is quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexer.store.vectors.ivf.CODE_BYTES", 8)
        patch.setattr("indexer.store.vectors.ivf.HELD_OUT", 64)
        ivf = IvfIndex.train_cells(rows, index_type)
        ivf.train_codes(rows)
        ivf.extend(rows)
        ivf.calibrate(rows)
    return ivf
