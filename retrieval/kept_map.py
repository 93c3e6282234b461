"""Keeping the map of a collection with the store, so that it is there at once."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from indexer.arrays import BoolArray, FloatArray, IdArray
from indexer.store.derived import DerivedFiles

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
    """`image_ids` (N,), ascending, and their `points` (N, 2), as of a commit, see `Collection`."""

    image_ids: IdArray
    points: FloatArray
    commits: int

    def spread(self, count: int) -> CollectionMap:
        """Return at most `count` of the images, spread evenly over the collection."""
        step = -(-len(self.image_ids) // count)
        return CollectionMap(self.image_ids[::step], self.points[::step], self.commits)


@dataclass(frozen=True)
class KeptMap:
    """A map, the spec whose vectors it shows, and how it was made.

    `laid_out` (N,) says which images t-SNE laid out; the others were placed among them. `changes`
    counts the images that have come and gone since.
    """

    found: CollectionMap
    fingerprint: str
    laid_out: BoolArray
    changes: int = 0


def read_kept(derived: DerivedFiles) -> KeptMap | None:
    """Return the map that is kept; None where there is none, or its file is damaged."""
    data = derived.read(FILE)
    if data is None:
        return None
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            found = CollectionMap(
                np.asarray(file["ids"], np.int64),
                np.asarray(file["points"], np.float32),
                int(file["commits"]),
            )
            kept = KeptMap(
                found,
                str(file["fingerprint"]),
                np.asarray(file["laid_out"], np.bool_),
                int(file["changes"]),
            )
    except _FILE_FAULTS:
        return None  # it is computed again
    return kept if _is_whole(kept) else None


def _is_whole(kept: KeptMap) -> bool:
    ids, points = kept.found.image_ids, kept.found.points
    return bool(
        ids.ndim == 1
        and points.shape == (len(ids), 2)
        and kept.laid_out.shape == ids.shape
        and kept.laid_out.any()
        and (np.diff(ids) > 0).all()
        and np.isfinite(points).all()
    )


def keep(derived: DerivedFiles, kept: KeptMap) -> None:
    """Keep a map; where that fails, it is computed again next time."""
    file = io.BytesIO()
    np.savez(
        file,
        ids=kept.found.image_ids,
        points=kept.found.points,
        commits=np.array(kept.found.commits),
        fingerprint=np.array(kept.fingerprint),
        laid_out=kept.laid_out,
        changes=np.array(kept.changes),
    )
    derived.write(FILE, file.getvalue())
