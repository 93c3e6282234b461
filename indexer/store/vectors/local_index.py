"""LocalVectorIndex: nearest vectors, and nearest images, by cosine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from indexer.arrays import BoolArray, FloatArray, IdArray
from indexer.image_set import ImageSet
from indexer.memory import Shelf
from indexer.store.vectors.image_matches import (
    ImageMatches,
    Matches,
    best_image_matches,
    best_matches,
    checked_queries,
    image_blocks,
    likely_image_rows,
    likely_rows,
    ranges,
    rank_images,
    rank_rows,
)
from indexer.store.vectors.ivf import IvfIndex
from indexer.store.vectors.ivf_search import FEW_ROWS, IvfSearch
from indexer.store.vectors.row_bitmap import RowBitmap
from indexer.store.vectors.segments import Rows, Segment, to_float32

BLOCK_ROWS = 65_536  # compared at a time
LET_GO_QUERIES = 32  # of an IVF index touch about 4 MB of its vectors each
NO_IDS: IdArray = np.empty(0, np.int64)


class LocalVectorIndex:
    """Search by inner product over segments of unit vectors of one dimension.

    Vectors are stored as float16, which changes a cosine by less than 0.001, and compared in
    float32. Ids are unique and never negative; the vectors of the images in `removed` (N,) are
    hidden. What a query finds does not depend on the queries asked with it.

    With `ivf`, the first segments, those whose rows are in it, are searched approximately; what was
    added since is compared one by one. Scores are exact either way.
    """

    def __init__(
        self,
        dimension: int,
        segments: Sequence[Segment] = (),
        ivf: IvfIndex | None = None,
        removed: IdArray = NO_IDS,
    ) -> None:
        if dimension < 1:
            raise ValueError(f"the dimension must be at least 1, not {dimension}")
        self.dimension = dimension
        self._segments = list(segments)
        self._removed = removed
        self._in_ivf = self._count_segments_in(ivf)
        self._ivf: IvfSearch | None = None
        if ivf is not None:
            self._ivf = IvfSearch(ivf, Rows(self._segments[: self._in_ivf]))
        self._starts = [0, *accumulate(map(len, self._segments))]
        total = self._starts[-1]
        self._kept = Shelf()
        self._keeps = self._kept.has_room_for(4 * dimension * total)
        self._asked = False
        self._queries = 0

    @property
    def ivf(self) -> IvfIndex | None:
        """The IVF index of the first segments, if any."""
        return None if self._ivf is None else self._ivf.ivf

    def __len__(self) -> int:
        """Return how many vectors can be found."""
        return sum(len(s) - np.isin(s.image_ids.all(), self._removed).sum() for s in self._segments)

    # --- search -------------------------------------------------------------------------------

    def search(self, queries: FloatArray, k: int, allowed: ImageSet | None = None) -> list[Matches]:
        """Return the nearest vectors of each unit query (Q, D) float32, best first, ties by id.

        There are `k` or as many as there are; `allowed` restricts the search to the vectors of
        these images.
        """
        queries = checked_queries(queries, k, self.dimension)
        few = self._few_images(allowed)
        if few is not None:
            _, ids, vectors = self.rows_of_images(few)
            return [best_matches([rank_rows(q, ids, vectors)], k) for q in queries]
        findable = self._findable(allowed)
        near: list[Matches | None] = [None] * len(queries)
        if self._ivf is not None:
            near = self._ivf.search(queries, k, findable)
            self._let_go_at_times(len(queries))
        found = [[] if match is None else [match] for match in near]
        for asked, segments in self._to_compare(near):
            for ids, _, vectors in self._live_blocks(segments, findable):
                likely = likely_rows(queries[asked], vectors, k)
                for place, rows in zip(asked, likely, strict=True):
                    found[place].append(rank_rows(queries[place], ids[rows], vectors[rows]))
        none = Matches(NO_IDS, np.empty(0, np.float32))
        return [best_matches(parts or [none], k) for parts in found]

    def search_images(
        self, queries: FloatArray, k: int, allowed: ImageSet | None = None
    ) -> list[ImageMatches]:
        """Return the best images of each unit query (Q, D), each once, by the best of its vectors.

        `allowed` restricts the search to these images.
        """
        queries = checked_queries(queries, k, self.dimension)
        few = self._few_images(allowed)
        if few is not None:
            places, ids, vectors = self.rows_of_images(few)
            ranked = [rank_images(q, ids, few[places], vectors) for q in queries]
            return [best_image_matches([match], k) for match in ranked]
        findable = self._findable(allowed)
        near: list[ImageMatches | None] = [None] * len(queries)
        if self._ivf is not None:
            near = self._ivf.search_images(queries, k, findable)
            self._let_go_at_times(len(queries))
        found = [[] if match is None else [match] for match in near]
        for asked, segments in self._to_compare(near):
            for ids, owners, vectors in self._live_blocks(segments, findable):
                likely = likely_image_rows(queries[asked], owners, vectors, k)
                for place, rows in zip(asked, likely, strict=True):
                    found[place].append(
                        rank_images(queries[place], ids[rows], owners[rows], vectors[rows])
                    )
        none = ImageMatches(NO_IDS, NO_IDS, np.empty(0, np.float32))
        return [best_image_matches(parts or [none], k) for parts in found]

    # --- look-up ------------------------------------------------------------------------------

    def rows_of_images(self, image_ids: IdArray) -> tuple[IdArray, IdArray, FloatArray]:
        """Return the vectors of these images (N,), those of one image in order.

        They are places in `image_ids` (R,), ids (R,) and vectors (R, D) float32. Unknown images
        have none.
        """
        parts = [(NO_IDS, NO_IDS, np.empty((0, self.dimension), np.float32))]
        for segment in self._segments:
            starts, counts = _spans(segment, image_ids)
            counts[np.isin(image_ids, self._removed)] = 0
            if counts.any():
                rows = ranges(starts, counts)
                places = np.repeat(np.arange(len(image_ids)), counts)
                parts.append((places, segment.ids.take(rows), segment.take(rows)))
        if len(parts) == 2:
            return parts[1]  # nothing to join: most collections are one segment
        places, ids, vectors = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return places, ids, vectors

    def rows_of_image(self, image_id: int) -> tuple[IdArray, FloatArray]:
        """Return the ids (R,) and vectors (R, D) of one image, in order; raises `KeyError`."""
        _, ids, vectors = self.rows_of_images(np.array([image_id], np.int64))
        if not len(ids):
            raise KeyError(f"no vectors of image {image_id}")
        return ids, vectors

    def live_ids(self) -> IdArray:
        """Return the ids (N,) of all vectors that can be found, in the order of their commits."""
        kept = [s.ids.all()[~np.isin(s.image_ids.all(), self._removed)] for s in self._segments]
        return np.concatenate([NO_IDS, *kept])

    def sample(self, count: int) -> FloatArray:
        """Return about `count` vectors (N, D) float32, evenly spread over all; all if fewer."""
        total = sum(len(segment) for segment in self._segments)
        step = max(1, total // count)
        parts = []
        for segment in self._segments:
            rows = np.arange(0, len(segment), step)
            parts.append(segment.take(rows[~np.isin(segment.image_ids.take(rows), self._removed)]))
            segment.vectors.let_go()  # a sample has a row on every page or so: of all the file
        return np.concatenate([np.empty((0, self.dimension), np.float32), *parts])

    # --- what they share ----------------------------------------------------------------------

    def _count_segments_in(self, ivf: IvfIndex | None) -> int:
        """Return how many segments, from the first, have their rows in the IVF index."""
        ends = np.cumsum([0, *(len(segment) for segment in self._segments)])
        places = np.flatnonzero(ends == (0 if ivf is None else len(ivf)))
        if ivf is not None and not len(places):
            raise ValueError(f"no segments have the {len(ivf)} rows of the IVF index")
        return 0 if ivf is None else int(places[-1])

    def _findable(self, allowed: ImageSet | None) -> RowBitmap | None:
        """Return the rows that may be found, None for all; they are kept for the next search."""
        if allowed is None and not len(self._removed):
            return None
        return self._kept.get(
            ("rows", allowed),
            lambda: RowBitmap.of(self._segments, allowed, self._removed),
            lambda found: found.nbytes + (0 if allowed is None else allowed.nbytes),
        )

    def _few_images(self, allowed: ImageSet | None) -> IdArray | None:
        """Return the images to be found, ascending, where they have few rows; else None."""
        if allowed is None or len(allowed) >= FEW_ROWS:
            return None
        images = allowed.without(self._removed)
        rows = sum(int(_spans(segment, images)[1].sum()) for segment in self._segments)
        return images if rows < FEW_ROWS else None

    def _to_compare(self, near: Sequence[object | None]) -> Iterator[tuple[list[int], range]]:
        """Yield queries, and the segments to compare them with one by one.

        All are compared with the segments that are not in the IVF index, and with the others those
        for which it found nothing in `near`.
        """
        missed = [place for place, match in enumerate(near) if match is None]
        if missed:
            yield missed, range(self._in_ivf)
        yield [*range(len(near))], range(self._in_ivf, len(self._segments))

    def _live_blocks(
        self, segments: range, findable: RowBitmap | None
    ) -> Iterator[tuple[IdArray, IdArray, FloatArray]]:
        """Yield the ids, images and vectors that may be found, of some segments, in blocks.

        No block cuts an image in two.
        """
        for place in segments:
            segment, first = self._segments[place], self._starts[place]
            for start, stop in image_blocks(segment.image_ids.all(), BLOCK_ROWS):
                ids = segment.ids.span(start, stop)
                owners = segment.image_ids.span(start, stop)
                keep = None if findable is None else findable.span(first + start, first + stop)
                if keep is None or keep.all():
                    yield ids, owners, self._block(place, start, stop)
                elif keep.any():
                    yield ids[keep], owners[keep], self._part(place, start, stop, keep)
        self._asked = True

    def _part(self, place: int, start: int, stop: int, keep: BoolArray) -> FloatArray:
        """Return those rows of a block in float32 that are to be kept."""
        if self._asked and self._keeps:
            return self._block(place, start, stop)[keep]
        return self._segments[place].take(np.flatnonzero(keep) + start)

    def _block(self, place: int, start: int, stop: int) -> FloatArray:
        """Return rows of a segment in float32.

        A small table stays in memory from the second search on: a command asks only once, and new
        memory takes longer to get than to fill.
        """

        def make() -> FloatArray:
            return to_float32(self._segments[place].vectors.span(start, stop))

        if self._asked and self._keeps:
            return self._kept.get((place, start), make, lambda block: block.nbytes)
        return make()

    def _let_go_at_times(self, queries: int) -> None:
        """Drop the pages that searches read here and there, before they are those of all files.

        The system keeps them for the next time; they only count as memory of this process.
        """
        self._queries += queries
        if self._queries >= LET_GO_QUERIES:
            self._queries = 0
            for segment in self._segments[: self._in_ivf]:
                segment.vectors.let_go()


def _spans(segment: Segment, image_ids: IdArray) -> tuple[IdArray, IdArray]:
    """Return the first row of each image (N,) in a segment, and how many it has there."""
    ends = np.concatenate([image_ids, image_ids + 1])
    starts, stops = np.searchsorted(segment.image_ids.all(), ends).reshape(2, -1)
    return starts, stops - starts
