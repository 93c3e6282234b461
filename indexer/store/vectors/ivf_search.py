"""IvfSearch: nearest vectors, and nearest images, among the rows of an IVF index."""

from __future__ import annotations

import numpy as np

from indexer.arrays import BoolArray, FloatArray, IdArray
from indexer.store.vectors.image_matches import ImageMatches, Matches, best_image_matches
from indexer.store.vectors.ivf import IvfIndex
from indexer.store.vectors.segments import Rows

# Of the rows that may be found: where a filter leaves fewer than this, all are compared.
FEW_ROWS = 20_000
WINDOWS_AN_IMAGE = 8  # expected among the nearest, at first


class IvfSearch:
    """A table of rows and the IVF index that they are in.

    Its searches give None for a query whose rows should all be compared instead: for so many hits,
    or so few rows that may be found, that the index saves nothing.
    """

    def __init__(self, ivf: IvfIndex, rows: Rows) -> None:
        self.ivf = ivf
        self.rows = rows

    def search(
        self, queries: FloatArray, k: int, allowed: IdArray | None, removed: IdArray
    ) -> list[Matches | None]:
        """Return the k nearest rows of each query (Q, D)."""
        keep = self._keep(allowed, removed)
        if self._is_too_much(k, keep):
            return [None] * len(queries)
        return [self._nearest(query, k, keep) for query in queries]

    def search_images(
        self, queries: FloatArray, k: int, allowed: IdArray | None, removed: IdArray
    ) -> list[ImageMatches | None]:
        """Return the k best images of each query (Q, D), see `VectorIndex.search_images`."""
        keep = self._keep(allowed, removed)
        if self._is_too_much(k, keep):
            return [None] * len(queries)
        return [self._nearest_images(query, k, keep) for query in queries]

    def _is_too_much(self, k: int, keep: BoolArray | None) -> bool:
        too_few = keep is not None and int(np.count_nonzero(keep)) < FEW_ROWS
        return too_few or k * WINDOWS_AN_IMAGE > len(self.ivf)

    def _keep(self, allowed: IdArray | None, removed: IdArray) -> BoolArray | None:
        """Say of each row whether it may be found, None where all may."""
        if allowed is None and not len(removed):
            return None
        owners = np.asarray(self.rows.image_ids)
        most = int(owners[-1]) if len(owners) else 0
        table = np.full(most + 1, allowed is None)
        if allowed is not None:
            table[allowed[(allowed >= 0) & (allowed <= most)]] = True
        table[removed[removed <= most]] = False
        kept: BoolArray = table[owners]
        return kept

    def _nearest(self, query: FloatArray, k: int, keep: BoolArray | None) -> Matches | None:
        """Return the k nearest rows; None if there are fewer."""
        rows, scores = self.ivf.search(self.rows, query, k, keep)
        return Matches(self.rows.ids_of(rows), scores) if len(rows) == k else None

    def _nearest_images(
        self, query: FloatArray, k: int, keep: BoolArray | None
    ) -> ImageMatches | None:
        """Return the k best images by ever more of the nearest rows; None if there are fewer."""
        near = min(k * WINDOWS_AN_IMAGE, len(self.ivf))
        while True:
            rows, scores = self.ivf.search(self.rows, query, near, keep)
            images, firsts = np.unique(self.rows.images_of(rows), return_index=True)
            if len(images) >= k or len(rows) < near or near == len(self.ivf):
                break
            near = min(near * 4, len(self.ivf))
        if len(images) < k:
            return None
        rows, scores = rows[firsts], scores[firsts]
        return best_image_matches([ImageMatches(images, self.rows.ids_of(rows), scores)], k)
