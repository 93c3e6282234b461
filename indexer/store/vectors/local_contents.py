"""LocalContents: the vectors of one kind in files, to be copied into another store."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np

from indexer.store.vectors.protocol import ImageRows
from indexer.store.vectors.segments import Segment


class LocalContents:
    """See `KindContents`; the segments follow each other in the order of their images."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._segments = [segment for segment in segments if len(segment)]
        self._firsts = [int(segment.image_ids.span(0, 1)[0]) for segment in self._segments]

    def read(self, image_ids: Sequence[int]) -> Mapping[int, ImageRows]:
        """Return the ids and vectors of images that have some; they are views of the files."""
        found = {}
        for image_id in image_ids:
            place = self._find(image_id)
            if place is not None:
                segment, start, stop = place
                found[image_id] = segment.ids.span(start, stop), segment.vectors.span(start, stop)
        return found

    def let_go(self) -> None:
        for segment in self._segments:
            for rows in (segment.ids, segment.image_ids, segment.vectors):
                rows.let_go()

    def _find(self, image_id: int) -> tuple[Segment, int, int] | None:
        """Return where the rows of an image are, if it has some."""
        place = bisect_right(self._firsts, image_id) - 1
        if place < 0:
            return None
        segment = self._segments[place]
        owners = segment.image_ids.all()
        start, stop = np.searchsorted(owners, [image_id, image_id + 1]).tolist()
        return (segment, start, stop) if stop > start else None
