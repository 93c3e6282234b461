"""Describing queries: what each of them shows to the network, forwarded together."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from indexer.errors import CbirError, InvalidQueryError
from indexer.features.engine import PooledMaps
from indexer.features.extractor import FeatureExtractor, unit
from indexer.features.inputs import View
from indexer.features.pooling import FloatArray
from indexer.features.regions import Region
from indexer.features.windows import to_boxes
from indexer.images import Pixels, load_image
from indexer.store.reading import StoreReader
from retrieval.picture import DECODERS
from retrieval.query import Query

# A query meets regions as described at these shares of the network's native size: an object's
# scale in the query and in the photo is never known, so both a small and a large view count.
QUERY_SCALES = (0.71, 1.0)
SLIDING_QUERY_SCALES = (0.8, 1.0)  # of the size at which the windows entered
TIGHTENED = -0.1  # a box is also seen without its margin: people draw with room to spare

Seen = FloatArray | dict[str, FloatArray] | CbirError
"""What a view came to: its vector (D,), its one row (1, C) by tap to be whitened, or an error."""


class QueryDescriber:
    """Makes vectors of queries, to be compared with those of one store."""

    def __init__(self, store: StoreReader, extractor: FeatureExtractor) -> None:
        self.store = store
        self.extractor = extractor

    def describe(self, queries: Sequence[Query]) -> list[FloatArray | CbirError]:
        """Return the vector (D,) of each query, or why it has none; one forward for all of them."""
        if len(queries) > 1:
            with ThreadPoolExecutor(DECODERS, "decode") as threads:
                shown = list(threads.map(self._try_views, queries))
        else:
            shown = [self._try_views(query) for query in queries]
        flat = [
            (query, view)
            for query, views in zip(queries, shown, strict=True)
            if not isinstance(views, CbirError)
            for view in views
        ]
        seen = self.extractor.look(
            [view for _, view in flat], lambda i, maps: self._look(flat[i][0], maps)
        )
        vectors = iter(self._whiten(seen))
        return [
            views if isinstance(views, CbirError) else _join([next(vectors) for _ in views])
            for query, views in zip(queries, shown, strict=True)
        ]

    def _look(self, query: Query, maps: PooledMaps) -> Seen:
        try:
            if query.feature == "fc":
                return unit(self.extractor.fc([maps.before_fc()])[0])
            if query.search == "image":
                return unit(maps.conv())
            return {tap: rows.copy() for tap, rows in maps.rows().items()}
        except CbirError as error:
            return error

    def _whiten(self, seen: Sequence[Seen]) -> list[FloatArray | CbirError]:
        """Return the vectors (D,) of views: those that are whitened are so together."""
        windows = [view for view in seen if isinstance(view, dict)]
        whitened = iter(self.extractor.whiten_windows(windows))
        return [next(whitened)[0] if isinstance(view, dict) else view for view in seen]

    def _try_views(self, query: Query) -> list[View] | CbirError:
        try:
            return self._views(query)
        except CbirError as error:
            return error

    def _views(self, query: Query) -> list[View]:
        """Return what the network sees of a query.

        For a search of regions by conv features it is cut out and seen at several scales. A box is
        also seen in its place, in the grid scheme, as the windows of the store are; and as a crop
        without its margin, in the sliding scheme and for re-ranking.
        """
        pixels, box = self.load(query)
        height, width = pixels.shape[:2]
        spec, backbone = self.store.spec, self.extractor.backbone
        cut = pixels if box is None else cut_out(pixels, box)
        if query.search == "image" or query.feature == "fc":
            return [self.extractor.view(cut, spec.size_px)]
        if spec.regions == "sliding":
            sizes = [spec.crop_px * scale for scale in SLIDING_QUERY_SCALES]
        else:
            sizes = [backbone.native_size_px * scale for scale in QUERY_SCALES]
        view = self.extractor.view
        views = [view(cut, max(backbone.min_size_px, round(size))) for size in sizes]
        if box is not None and (spec.regions == "sliding" or query.rerank):
            tight = cut_out(pixels, box.padded(TIGHTENED, width, height))
            views.append(view(tight, spec.crop_px))
        if box is not None and spec.regions == "grid":
            # The largest comes last: an engine begins with it in the thread that waits for all.
            views.append(view(pixels, spec.size_px, to_boxes([box], width, height)))
        return views

    def load(self, query: Query) -> tuple[Pixels, Region | None]:
        """Return the upright pixels of a query's image, and its box in them, with the context.

        A photo is decoded at a part of its size where the query has enough pixels even so.
        """
        source: Path | bytes = query.path if query.path is not None else query.data or b""
        if query.image_id is not None:
            infos = self.store.image_infos([query.image_id])
            if query.image_id not in infos:
                raise InvalidQueryError(f"There is no image {query.image_id} in the store.")
            source = infos[query.image_id].path
        needed = self.store.spec.size_px
        if query.box is None:
            return load_image(source, at_least=needed).pixels, None
        loaded = load_image(source, at_least=needed, part=query.box.as_tuple())
        size = (loaded.facts.width, loaded.facts.height)
        query.box.require_inside(*size)
        height, width = loaded.pixels.shape[:2]
        return loaded.pixels, query.box.padded(query.context, *size).scaled(size, (width, height))


def cut_out(pixels: Pixels, box: Region) -> Pixels:
    """Return the part of an image (H, W, 3) in a box."""
    return pixels[box.y0 : box.y1, box.x0 : box.x1]


def _join(seen: Sequence[FloatArray | CbirError]) -> FloatArray | CbirError:
    """Return the one vector (D,) of a query's views."""
    vectors: list[FloatArray] = []
    for look in seen:
        if isinstance(look, CbirError):
            return look
        vectors.append(look)
    if len(vectors) == 1:
        return vectors[0]
    try:
        return unit(np.sum(vectors, axis=0))
    except CbirError as error:
        return error
