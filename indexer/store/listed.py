"""ListedRows: nearest rows, and nearest images, of the segments whose rows are in lists."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from indexer.store.approximate import ApproximateIndex
from indexer.store.matches import ImageMatches
from indexer.store.segments import FloatArray, IdArray, Rows

# Of the live rows: where a filter leaves fewer than this, they are all compared.
FEW_ROWS = 20_000
WINDOWS_AN_IMAGE = 8  # that are expected among the nearest, at first
WHOLE_CANDIDATES = 3  # times the images asked for, where whole images count too

Kept = npt.NDArray[np.bool_] | None
"""Which rows may be found, None for all of them."""


class ListedRows:
    """A table of rows and the lists that they are in.

    Its searches return None where comparing with all rows is due: for so many hits, or so few
    rows that may be found, that lists save nothing.
    """

    def __init__(self, lists: ApproximateIndex, rows: Rows) -> None:
        self.lists = lists
        self.rows = rows

    def search(
        self, queries: FloatArray, k: int, allowed: IdArray | None, removed: IdArray
    ) -> tuple[IdArray, FloatArray] | None:
        """Return ids (Q, k) and scores (Q, k) of the nearest rows, best first."""
        if self._is_too_much(k):
            return None
        keep = self._keep(allowed, removed)
        if keep is not None and np.count_nonzero(keep) < FEW_ROWS:
            return None
        found = [self.lists.search(self.rows, query, k, keep) for query in queries]
        if any(len(rows) < k for rows, _ in found):
            return None
        ids = [self.rows.ids_of(rows) for rows, _ in found]
        return np.stack(ids), np.stack([scores for _, scores in found])

    def search_images(
        self, queries: FloatArray, k: int, allowed: IdArray | None, removed: IdArray, whole: float
    ) -> ImageMatches | None:
        """Return the best images (Q, k), see `VectorIndex.search_images`."""
        if self._is_too_much(k):
            return None
        keep = self._keep(allowed, removed)
        if keep is not None and np.count_nonzero(keep) < FEW_ROWS:
            return None
        found = [self._nearest_images(query, k, keep, whole) for query in queries]
        matches = [match for match in found if match is not None]
        if len(matches) < len(queries):
            return None
        return ImageMatches(*(np.vstack(arrays) for arrays in zip(*matches, strict=True)))

    def _is_too_much(self, k: int) -> bool:
        return k * WINDOWS_AN_IMAGE > len(self.lists)

    def _keep(self, allowed: IdArray | None, removed: IdArray) -> Kept:
        if allowed is None and not len(removed):
            return None
        owners = np.asarray(self.rows.image_ids)
        most = int(owners[-1]) if len(owners) else 0
        table = np.full(most + 1, allowed is None)
        if allowed is not None:
            table[allowed[(allowed >= 0) & (allowed <= most)]] = True
        table[removed[removed <= most]] = False
        kept: npt.NDArray[np.bool_] = table[owners]
        return kept

    def _nearest_images(
        self, query: FloatArray, k: int, keep: Kept, whole: float
    ) -> ImageMatches | None:
        """Return the k best images (1, k) by ever more of the nearest rows; None if there are less.

        With `whole`, a longer list is scored in full: all images that the nearest rows belong to.
        """
        wanted = k * WHOLE_CANDIDATES if whole else k
        near = min(wanted * WINDOWS_AN_IMAGE, len(self.lists))
        while True:
            rows, scores = self.lists.search(self.rows, query, near, keep)
            images, firsts = np.unique(self.rows.images_of(rows), return_index=True)
            if len(images) >= wanted or len(rows) < near or near == len(self.lists):
                break
            near = min(near * 4, len(self.lists))
        if len(images) < k:
            return None
        rows, scores = rows[firsts], scores[firsts]
        if whole:
            wholes = self.rows.take(self.rows.firsts_of(rows)) @ query
            scores = ((scores + whole * wholes) / (1 + whole)).astype(np.float32)
        order = np.lexsort((images, -scores))[:k]
        ids = self.rows.ids_of(rows[order])
        return ImageMatches(images[order][None], ids[None], scores[order][None])
