"""A map of a collection: its images laid out on a plane, those that look alike close together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from indexer.arrays import BoolArray, FloatArray, IdArray
from indexer.errors import InvalidQueryError
from indexer.progress import Progress, no_progress
from indexer.store.vectors.protocol import VectorIndex
from retrieval.collection import Collection
from retrieval.kept_map import CollectionMap, KeptMap, keep, read_kept
from retrieval.map_layout import lay_out, place, principal_components, require_going_on

LAID_OUT_IMAGES = 100_000
LEAST_IMAGES = 10
CHANGED_SHARE = 0.1  # of the images: with more that have come and gone, all are laid out again
AXES_IMAGES = 20_000  # that the principal components are computed from
READ_IMAGES = 4_096  # whose vectors are read at a time


def read_map(collection: Collection) -> CollectionMap | None:
    """Return the map of the collection as of its last commit if it is kept; this is instant."""
    now = collection.current()
    kept = read_kept(now.store.derived)
    return kept.found if kept is not None and _is_of(kept, now) else None


def map_collection(
    collection: Collection,
    count: int = LAID_OUT_IMAGES,
    *,
    progress: Progress = no_progress,
    stop: Callable[[], bool] = lambda: False,
) -> CollectionMap:
    """Lay out all images of a collection by their conv vectors, and keep the map in the store.

    t-SNE lays out the images, or `count` of them spread evenly over a larger collection; the rest
    is placed among these by `place`. The same collection always gives the same layout.

    Images that are removed leave the map, and new ones are placed among those that were laid out,
    so that the map keeps its shape; all are laid out again once a tenth of them has changed. Raises
    `InvalidQueryError` for fewer than 10 images, and `MappingStopped` once `stop` says so.
    """

    def work(now: Collection) -> CollectionMap:
        return _map(now, count, progress, stop)

    return collection.at_last_commit(work)


def _map(
    now: Collection, count: int, progress: Progress, stop: Callable[[], bool]
) -> CollectionMap:
    derived = now.store.derived
    kept = read_kept(derived)
    if kept is not None and _is_of(kept, now):
        return kept.found
    index = now.index(now.store.find_kind("conv", "image"))
    ids = np.sort(index.live_ids())
    if len(ids) < LEAST_IMAGES:
        raise InvalidQueryError(f"A map needs at least {LEAST_IMAGES} images, not {len(ids)}.")
    vectors = _Vectors(index, progress, stop)
    if kept is not None and _may_go_on(kept, ids, now):
        made = _bring_up_to_date(vectors, ids, kept, now)
    else:
        made = _lay_out(vectors, ids, count, now)
    keep(derived, made)
    return made.found


def _is_of(kept: KeptMap, now: Collection) -> bool:
    return kept.found.commits == now.commits and kept.fingerprint == now.spec.fingerprint


def _may_go_on(kept: KeptMap, ids: IdArray, now: Collection) -> bool:
    """Whether a kept map is of the same kind of vectors, and of almost the same images."""
    still_there = np.isin(kept.found.image_ids[kept.laid_out], ids, assume_unique=True).sum()
    return bool(
        kept.fingerprint == now.spec.fingerprint
        and still_there >= LEAST_IMAGES
        and _changes(kept, ids) <= CHANGED_SHARE * len(ids)
    )


def _changes(kept: KeptMap, ids: IdArray) -> int:
    """Return how many images have come and gone since all were laid out."""
    return kept.changes + len(np.setxor1d(ids, kept.found.image_ids, assume_unique=True))


def _lay_out(vectors: _Vectors, ids: IdArray, count: int, now: Collection) -> KeptMap:
    chosen = np.zeros(len(ids), np.bool_)
    chosen[:: -(-len(ids) // count)] = True
    reduced = vectors.reduced(ids, chosen)
    points = np.empty((len(ids), 2), np.float32)
    points[chosen] = lay_out(reduced[chosen], vectors.progress, vectors.stop)
    points[~chosen] = vectors.place(reduced[~chosen], reduced[chosen], points[chosen])
    found = CollectionMap(ids, points, now.commits)
    return KeptMap(found, now.spec.fingerprint, chosen)


def _bring_up_to_date(vectors: _Vectors, ids: IdArray, kept: KeptMap, now: Collection) -> KeptMap:
    """Return a kept map without the images that are gone, and with the new ones placed in it."""
    known, rows, kept_rows = np.intersect1d(
        ids, kept.found.image_ids, assume_unique=True, return_indices=True
    )
    points, laid_out = np.empty((len(ids), 2), np.float32), np.zeros(len(ids), np.bool_)
    points[rows], laid_out[rows] = kept.found.points[kept_rows], kept.laid_out[kept_rows]
    if len(known) < len(ids):
        is_new = np.ones(len(ids), np.bool_)
        is_new[rows] = False
        reduced = vectors.reduced(ids, laid_out, is_new)
        points[is_new] = vectors.place(reduced[is_new], reduced[laid_out], points[laid_out])
    found = CollectionMap(ids, points, now.commits)
    return KeptMap(found, now.spec.fingerprint, laid_out, _changes(kept, ids))


@dataclass(frozen=True)
class _Vectors:
    """The vectors of a collection, read in blocks."""

    index: VectorIndex
    progress: Progress
    stop: Callable[[], bool]

    def reduced(
        self, ids: IdArray, chosen: BoolArray, further: BoolArray | None = None
    ) -> FloatArray:
        """Return the principal components (N, C) of images (N,).

        Their axes are those of the images that are `chosen`. With `further`, only the rows of these
        and of the chosen ones are read; the others are zero.
        """
        of_axes = ids[chosen]
        mean, axes = principal_components(self._read(of_axes[:: -(-len(of_axes) // AXES_IMAGES)]))
        rows = np.arange(len(ids)) if further is None else np.flatnonzero(chosen | further)
        reduced = np.zeros((len(ids), axes.shape[1]), np.float32)
        for start in range(0, len(rows), READ_IMAGES):
            require_going_on(self.stop)
            self.progress("Reading vectors", start, len(rows))
            part = rows[start : start + READ_IMAGES]
            reduced[part] = (self._read(ids[part]) - mean) @ axes
        return reduced

    def place(self, vectors: FloatArray, laid_out: FloatArray, points: FloatArray) -> FloatArray:
        """Return the points (M, 2) of further vectors, see `map_layout.place`."""
        return place(vectors, laid_out, points, self.progress, self.stop)

    def _read(self, ids: IdArray) -> FloatArray:
        places, _, vectors = self.index.rows_of_images(ids)
        ordered = np.empty_like(vectors)
        ordered[places] = vectors
        return ordered
