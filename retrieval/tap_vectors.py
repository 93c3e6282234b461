"""TapVectors: the images of a store described at every tap of its network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from indexer.arrays import Boxes, FloatArray, Pixels, unit_rows
from indexer.choices import EngineName
from indexer.errors import ImageError
from indexer.features.engines.load import load_engine
from indexer.features.engines.protocols import Activations
from indexer.features.extractor import WHOLE
from indexer.features.pooling import pool, pool_boxes
from indexer.images.accepted import load_accepted
from indexer.memory import Shelf
from indexer.sources.access import may_exist
from indexer.store.layout import TAPS
from indexer.store.records import ImageInfo
from retrieval.collection import Collection
from retrieval.picture import DECODERS

BATCH = 16

Rows = dict[str, FloatArray]
"""By tap: unit rows, one (1, C) of a whole image, or (R, C) of its windows for conv taps."""


class TapVectors:
    """Describes images at every tap, as the collection's spec pools and resizes them.

    Vectors of whole images are kept in the store, and those of windows in memory: they depend on
    the image, the spec and the engine only, so what is kept is what would be described again. What
    was kept of another spec or engine is described again.
    """

    def __init__(self, collection: Collection, engine: EngineName = "auto") -> None:
        self.collection = collection
        backbone = collection.extractor.backbone
        self.taps = dict(backbone.taps)
        self.inference = load_engine(backbone, list(self.taps), engine)
        spec = collection.extractor.spec
        made_by = (
            *(backbone.name, backbone.weights, list(self.taps), self.inference.description),
            *(spec.pooling, spec.gem_p, spec.size_px),
        )
        self._digest = hashlib.sha256(json.dumps(made_by).encode()).digest()
        self._kept = Shelf()

    def of_query(self, pixels: Pixels, *, by_region: bool) -> Rows:
        """Return a row (1, C) by tap for a query image or a part of it; it is not kept."""
        [rows] = self._describe([self._resized(pixels)], [WHOLE if by_region else None])
        return rows

    def of_images(
        self, infos: Sequence[ImageInfo], *, by_region: bool
    ) -> Iterator[Sequence[tuple[ImageInfo, Rows | None]]]:
        """Yield images with their rows, in parts: what is kept first, then `BATCH` at a time.

        The rows are None where the file is missing, damaged or replaced by another.
        """
        kept = [(info, self._read(info, by_region)) for info in infos]
        known = [(info, rows) for info, rows in kept if rows is not None]
        if known:
            yield known
        missing = [info for info, rows in kept if rows is None]
        with ThreadPoolExecutor(DECODERS, "decode") as threads:
            loading = [threads.submit(self._load, info) for info in missing]
            try:
                for start in range(0, len(missing), BATCH):
                    part = slice(start, start + BATCH)
                    yield self._describe_part(missing[part], loading[part], by_region)
            finally:
                threads.shutdown(cancel_futures=True)

    def _describe_part(
        self, infos: Sequence[ImageInfo], loading: Sequence[Future[Pixels | None]], by_region: bool
    ) -> list[tuple[ImageInfo, Rows | None]]:
        loaded = [(info, future.result()) for info, future in zip(infos, loading, strict=True)]
        usable = [(info, pixels) for info, pixels in loaded if pixels is not None]
        boxes = [self.windows(info) if by_region else None for info, _ in usable]
        described = self._describe([pixels for _, pixels in usable], boxes)
        found = {info.id: rows for (info, _), rows in zip(usable, described, strict=True)}
        for info, _ in usable:
            self._keep(info, found[info.id], by_region)
        return [(info, found.get(info.id)) for info in infos]

    def windows(self, info: ImageInfo) -> Boxes:
        """Return the windows (R, 4) of an image, which the rows of its conv taps belong to."""
        return self.collection.spec.layout.boxes(info.width, info.height)

    # --- describing ---------------------------------------------------------------------------

    def _describe(self, images: Sequence[Pixels], boxes: Sequence[Boxes | None]) -> list[Rows]:
        """Return the rows of network inputs, as whole images or by their boxes."""

        def use(place: int, activations: Activations) -> Rows:
            return {tap: self._rows(tap, activations[tap], boxes[place]) for tap in self.taps}

        return self.inference.run(images, use)

    def _rows(self, tap: str, values: FloatArray, boxes: Boxes | None) -> FloatArray:
        if self.taps[tap].kind == "fc":
            return unit_rows(values[None])
        if boxes is not None:
            return unit_rows(pool_boxes(values, boxes))
        spec = self.collection.extractor.spec
        return unit_rows(pool(values, spec.pooling, spec.gem_p)[None])

    def _resized(self, pixels: Pixels) -> Pixels:
        extractor = self.collection.extractor
        return extractor.resize(pixels, extractor.spec.size_px)

    def _load(self, info: ImageInfo) -> Pixels | None:
        size = info.width, info.height
        try:
            loaded = load_accepted(info.path, size, at_least=self.collection.extractor.spec.size_px)
        except ImageError:
            return None
        if (loaded.facts.width, loaded.facts.height) != size:
            return None
        return self._resized(loaded.pixels)

    # --- keeping ------------------------------------------------------------------------------

    def _read(self, info: ImageInfo, by_region: bool) -> Rows | None:
        """Return what is kept of an image, None where that is nothing or its file is gone."""
        if not may_exist(info.path):
            return None
        if by_region:
            return self._kept.get(info.id, lambda: None, _row_bytes)
        data = self.collection.store.derived.read(TAPS, info.id)
        sizes = [tap.channels for tap in self.taps.values()]
        if data is None or len(data) != len(self._digest) + 4 * sum(sizes):
            return None
        if data[: len(self._digest)] != self._digest:
            return None
        values = np.frombuffer(data, np.float32, offset=len(self._digest))
        parts = np.split(values, np.cumsum(sizes)[:-1])
        return {tap: part[None] for tap, part in zip(self.taps, parts, strict=True)}

    def _keep(self, info: ImageInfo, rows: Rows, by_region: bool) -> None:
        """Keep the rows of an image; where that fails, it is described again next time."""
        if by_region:
            self._kept.get(info.id, lambda: rows, _row_bytes)
            return
        values = np.concatenate([rows[tap][0] for tap in self.taps])
        data = self._digest + values.astype(np.float32).tobytes()
        self.collection.store.derived.write(TAPS, data, info.id)


def _row_bytes(rows: Rows | None) -> int:
    return sum(array.nbytes for array in (rows or {}).values())
