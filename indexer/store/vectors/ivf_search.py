"""IvfSearch: nearest vectors, and nearest images, among the rows of an IVF index."""

from __future__ import annotations

import numpy as np

from indexer.arrays import FloatArray, IdArray
from indexer.store.vectors.image_matches import ImageMatches, Matches, best_image_matches
from indexer.store.vectors.ivf import IvfIndex
from indexer.store.vectors.row_bitmap import RowBitmap
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
        self, queries: FloatArray, k: int, findable: RowBitmap | None
    ) -> list[Matches | None]:
        """Return the k nearest rows of each query (Q, D), of those that may be found."""
        if self._is_too_much(k, findable):
            return [None] * len(queries)
        return [self._nearest(query, k, findable) for query in queries]

    def search_images(
        self, queries: FloatArray, k: int, findable: RowBitmap | None
    ) -> list[ImageMatches | None]:
        """Return the k best images of each query (Q, D), see `VectorIndex.search_images`."""
        if self._is_too_much(k, findable):
            return [None] * len(queries)
        return [self._nearest_images(query, k, findable) for query in queries]

    def _is_too_much(self, k: int, findable: RowBitmap | None) -> bool:
        count = self._count(findable)
        too_few = findable is not None and count < FEW_ROWS
        return too_few or k * WINDOWS_AN_IMAGE > count

    def _count(self, findable: RowBitmap | None) -> int:
        """Return how many rows of the IVF index may be found."""
        if findable is None:
            return len(self.ivf)
        return sum(findable.counts[: len(self.rows.segments)])

    def _find(
        self, query: FloatArray, k: int, findable: RowBitmap | None
    ) -> tuple[IdArray, FloatArray]:
        if findable is None:
            return self.ivf.search(self.rows, query, k)
        return self.ivf.search_some(self.rows, query, k, findable.bits, self._count(findable))

    def _nearest(self, query: FloatArray, k: int, findable: RowBitmap | None) -> Matches | None:
        """Return the k nearest rows; None if there are fewer."""
        rows, scores = self._find(query, k, findable)
        return Matches(self.rows.ids_of(rows), scores) if len(rows) == k else None

    def _nearest_images(
        self, query: FloatArray, k: int, findable: RowBitmap | None
    ) -> ImageMatches | None:
        """Return the k best images by ever more of the nearest rows; None if there are fewer."""
        near = min(k * WINDOWS_AN_IMAGE, len(self.ivf))
        while True:
            rows, scores = self._find(query, near, findable)
            images, firsts = np.unique(self.rows.images_of(rows), return_index=True)
            if len(images) >= k or len(rows) < near or near == len(self.ivf):
                break
            near = min(near * 4, len(self.ivf))
        if len(images) < k:
            return None
        rows, scores = rows[firsts], scores[firsts]
        return best_image_matches([ImageMatches(images, self.rows.ids_of(rows), scores)], k)
