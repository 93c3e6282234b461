"""Describing queries: what each of them shows to the network, forwarded together."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from indexer.errors import CbirError, InvalidQueryError
from indexer.features.engine import Activations
from indexer.features.extractor import WHOLE, FeatureExtractor, unit
from indexer.features.pooling import FloatArray
from indexer.features.regions import Region
from indexer.features.windows import Boxes, to_boxes
from indexer.images import Pixels, load_image
from indexer.store.reading import StoreReader
from retrieval.query import Query

# A query meets regions as described at these shares of the network's native size: an object's
# scale in the query and in the photo is never known, so both a small and a large view count.
QUERY_SCALES = (0.71, 1.0)
SLIDING_QUERY_SCALES = (0.8, 1.0)  # of the size at which the windows entered
TIGHTENED = -0.1  # a box is also seen without its margin: people draw with room to spare
DECODERS = 2  # threads, for queries that come together


@dataclass(frozen=True)
class View:
    """What the network sees of a query: `pixels` (H, W, 3), and a box (1, 4) in shares of them."""

    pixels: Pixels
    box: Boxes


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
        pixels = [v.pixels for views in shown if isinstance(views, list) for v in views]
        activations = iter(self.extractor.inference.run(pixels) if pixels else [])
        vectors: list[FloatArray | CbirError] = []
        for query, views in zip(queries, shown, strict=True):
            if isinstance(views, CbirError):
                vectors.append(views)
                continue
            seen = [next(activations) for _ in views]
            try:
                vectors.append(self._vector(query, views, seen))
            except CbirError as error:
                vectors.append(error)
        return vectors

    def _vector(
        self, query: Query, views: Sequence[View], seen: Sequence[Activations]
    ) -> FloatArray:
        if query.feature == "fc":
            return self.extractor.fc_vector(seen[0])
        if query.search == "image":
            return self.extractor.conv_vector(seen[0])
        rows = self.extractor.many_region_vectors(seen, [view.box for view in views])
        return unit(np.sum(rows, axis=(0, 1)))

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
        image, box = self.load(query)
        spec, backbone = self.store.spec, self.extractor.backbone
        cut = image if box is None else image.crop(box.as_tuple())
        if query.search == "image" or query.feature == "fc":
            return [self._view(cut, spec.size_px)]
        if spec.regions == "sliding":
            sizes = [spec.crop_px * scale for scale in SLIDING_QUERY_SCALES]
        else:
            sizes = [backbone.native_size_px * scale for scale in QUERY_SCALES]
        views = [self._view(cut, max(backbone.min_size_px, round(size))) for size in sizes]
        if box is not None and spec.regions == "grid":
            views.append(self._view(image, spec.size_px, to_boxes([box], *image.size)))
        if box is not None and (spec.regions == "sliding" or query.rerank):
            tight = image.crop(box.padded(TIGHTENED, *image.size).as_tuple())
            views.append(self._view(tight, spec.crop_px))
        return views

    def _view(self, image: Image.Image, size_px: int, box: Boxes = WHOLE) -> View:
        return View(self.extractor.resize(image, size_px), box)

    def load(self, query: Query) -> tuple[Image.Image, Region | None]:
        """Return the upright pixels of a query's image, and its box, the context included."""
        source: Path | bytes = query.path if query.path is not None else query.data or b""
        if query.image_id is not None:
            infos = self.store.image_infos([query.image_id])
            if query.image_id not in infos:
                raise InvalidQueryError(f"There is no image {query.image_id} in the store.")
            source = infos[query.image_id].path
        if query.box is None:
            return load_image(source, at_least=self.store.spec.size_px).pixels, None
        loaded = load_image(source)
        width, height = loaded.facts.width, loaded.facts.height
        query.box.require_inside(width, height)
        return loaded.pixels, query.box.padded(query.context, width, height)
