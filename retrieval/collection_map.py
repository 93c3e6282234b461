"""A map of a collection: its images laid out on a plane, those that look alike close together."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from indexer.arrays import FloatArray, IdArray
from indexer.errors import InvalidQueryError
from indexer.store.derived import DerivedFiles
from retrieval.collection import Collection

MAPPED_IMAGES = 3_000
COMPONENTS = 50  # principal components that the neighbours are looked for in
LEAST_IMAGES = 10
PARALLEL_IMAGES = 500  # with fewer, threads wait more than they work
FILE = "map.npz"
# What numpy raises on a damaged archive.
_FILE_FAULTS = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class CollectionMap:
    """`image_ids` (N,) and their `points` (N, 2)."""

    image_ids: IdArray
    points: FloatArray


def map_collection(collection: Collection, count: int = MAPPED_IMAGES) -> CollectionMap:
    """Lay out a collection, or about `count` images spread evenly over a larger one.

    t-SNE (van der Maaten and Hinton 2008) of the conv vectors, from their first two principal
    components, so that the same collection always gives the same map. It is kept in the store
    until the collection changes. Raises `InvalidQueryError` for fewer than 10 images.
    """
    kind = collection.store.find_kind("conv", "image")
    index = collection.at_last_commit(lambda now: now.index(kind))
    ids = index.live_ids()
    ids = ids[:: -(-len(ids) // count)] if len(ids) else ids
    if len(ids) < LEAST_IMAGES:
        raise InvalidQueryError(f"A map needs at least {LEAST_IMAGES} images, not {len(ids)}.")
    derived = collection.store.derived
    _, _, vectors = index.rows_of_images(ids)
    key = hashlib.sha256(ids.tobytes() + vectors.tobytes()).hexdigest()
    kept = _read(derived, key)
    if kept is None:
        kept = _lay_out(vectors)
        _write(derived, key, kept)
    return CollectionMap(ids, kept)


def _lay_out(vectors: FloatArray) -> FloatArray:
    from openTSNE import TSNE

    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred.T @ centred)
    reduced = centred @ axes[:COMPONENTS].T
    layout = TSNE(
        perplexity=min(30.0, (len(vectors) - 1) / 3),
        initialization="pca",
        random_state=0,
        n_jobs=1 if len(vectors) < PARALLEL_IMAGES else os.cpu_count() or 1,
    ).fit(reduced)
    return np.asarray(layout, np.float32)


def _read(derived: DerivedFiles, key: str) -> FloatArray | None:
    """Return the points that were kept for `key`; None where there are none, or unusable ones."""
    data = derived.read(FILE)
    if data is None:
        return None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return np.asarray(file["points"], np.float32) if str(file["key"]) == key else None
    except _FILE_FAULTS:
        return None  # it is computed again


def _write(derived: DerivedFiles, key: str, points: FloatArray) -> None:
    """Keep the points; where that fails, they are computed again next time."""
    file = io.BytesIO()
    np.savez(file, key=np.array(key), points=points)
    derived.write(FILE, file.getvalue())
