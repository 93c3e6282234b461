"""MilvusContents: the vectors of one kind in Milvus, to be copied into another store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from indexer.store.vectors.milvus_index import MilvusIndex
from indexer.store.vectors.protocol import ImageRows


class MilvusContents:
    """See `KindContents`; `index` is None where there are no vectors."""

    def __init__(self, index: MilvusIndex | None) -> None:
        self._index = index

    def read(self, image_ids: Sequence[int]) -> Mapping[int, ImageRows]:
        if self._index is None:
            return {}
        places, ids, vectors = self._index.rows_of_images(np.array(image_ids, np.int64))
        starts = np.flatnonzero(np.diff(places, prepend=-1))
        halves = vectors.astype(np.float16)
        parts = zip(np.split(ids, starts[1:]), np.split(halves, starts[1:]), strict=True)
        return dict(zip([image_ids[place] for place in places[starts]], parts, strict=False))

    def let_go(self) -> None:
        """Do nothing: no file is open."""
