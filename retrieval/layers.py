"""The layer lab: what each tap of the network finds nearest, conv and fc, side by side.

Which layer serves best depends on how near a task is to what the network was trained for
(Azizpour et al. 2016). A store holds few taps; the others are computed again, for a pool of images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from indexer.arrays import Boxes, FloatArray, Pixels, cosines, unit_rows
from indexer.choices import EngineName, Scope, TapKind
from indexer.errors import ImageError
from indexer.features.engines.load import load_engine
from indexer.features.engines.protocols import Activations, activations_of
from indexer.features.extractor import WHOLE
from indexer.features.pooling import pool, pool_boxes
from indexer.features.windows import to_regions
from indexer.images.accepted import load_accepted
from indexer.progress import Progress, no_progress
from indexer.store.records import ImageInfo
from retrieval.collection import Collection
from retrieval.describe import QueryVectors, describe_query
from retrieval.query import Hit, Query
from retrieval.query_image import load_query
from retrieval.ranking import rank
from retrieval.rerank.step import Candidate

POOL_IMAGES = 240
BATCH = 16
NEAREST: tuple[tuple[TapKind, Scope], ...] = (
    ("conv", "image"),
    ("fc", "image"),
    ("conv", "region"),
)


@dataclass(frozen=True)
class TapHits:
    """The nearest images by one tap: `kind` is conv or fc, hits best first."""

    tap: str
    kind: str
    hits: list[Hit]


class LayerLab:
    """Ranks a pool of images by every tap of the store's backbone."""

    def __init__(self, collection: Collection, engine: EngineName = "auto") -> None:
        self.collection = collection
        backbone = collection.extractor.backbone
        self.taps = dict(backbone.taps)
        self.inference = load_engine(backbone, list(self.taps), engine)

    def pool(self, query: Query, size: int = POOL_IMAGES) -> list[int]:
        """Return up to `size` image ids: the nearest by conv, fc and regions, and others, evenly.

        In a collection of up to `size` images it is all of them.
        """
        return self.collection.at_last_commit(lambda now: _pool(now, query, size))

    def rank(
        self,
        query: Query,
        pool: Sequence[int],
        k: int = 8,
        progress: Progress = no_progress,
    ) -> list[TapHits]:
        """Return the `k` best of `pool` by each tap, in the order of the network.

        A search of regions compares each conv tap with windows and gives their boxes; fc always
        compares whole images. Images whose files are missing are left out. Raises `ImageError` for
        an unusable query image.
        """
        by_region = query.search == "region"
        pixels, box = load_query(self.collection, query)
        shown = pixels if box is None else pixels[box.y0 : box.y1, box.x0 : box.x1]
        [own] = self._describe([shown], [WHOLE if by_region else None])
        known = self.collection.store.image_infos(pool)
        infos = [known[i] for i in pool if i in known]
        found: dict[str, list[Candidate]] = {tap: [] for tap in self.taps}
        for start in range(0, len(infos), BATCH):
            part = infos[start : start + BATCH]
            for candidates in self._compare(own, part, by_region=by_region):
                for tap, candidate in candidates.items():
                    found[tap].append(candidate)
            progress("Describing images", start + len(part), len(infos))
        return [
            TapHits(tap, self.taps[tap].kind, _best_hits(candidates, known, k))
            for tap, candidates in found.items()
        ]

    def _compare(
        self, own: dict[str, FloatArray], infos: Sequence[ImageInfo], *, by_region: bool
    ) -> Iterator[dict[str, Candidate]]:
        """Yield for each image that can be read what it scores with `own` by each tap."""
        loaded = [(info, self._load(info)) for info in infos]
        images = [(info, pixels) for info, pixels in loaded if pixels is not None]
        layout = self.collection.spec.layout
        boxes = [layout.boxes(p.shape[1], p.shape[0]) if by_region else None for _, p in images]
        described = self._describe([pixels for _, pixels in images], boxes)
        for (info, _), windows, vectors in zip(images, boxes, described, strict=True):
            yield {
                tap: _best_window(info, windows, cosines(rows, own[tap][0]))
                for tap, rows in vectors.items()
            }

    def _describe(
        self, images: Sequence[Pixels], boxes: Sequence[Boxes | None]
    ) -> list[dict[str, FloatArray]]:
        """Return unit rows by tap for each image: one, or one a box for conv taps."""
        extractor = self.collection.extractor
        pixels = [extractor.resize(image, extractor.spec.size_px) for image in images]
        return [
            {tap: self._rows(tap, activations, own) for tap in self.taps}
            for own, activations in zip(boxes, activations_of(self.inference, pixels), strict=True)
        ]

    def _rows(self, tap: str, activations: Activations, boxes: Boxes | None) -> FloatArray:
        values = activations[tap]
        if self.taps[tap].kind == "fc":
            return unit_rows(values[None])
        if boxes is not None:
            return unit_rows(pool_boxes(values, boxes))
        spec = self.collection.extractor.spec
        return unit_rows(pool(values, spec.pooling, spec.gem_p)[None])

    def _load(self, info: ImageInfo) -> Pixels | None:
        try:
            size_px = self.collection.extractor.spec.size_px
            size = (info.width, info.height)
            return load_accepted(info.path, size, at_least=size_px).pixels
        except ImageError:
            return None


def _pool(collection: Collection, query: Query, size: int) -> list[int]:
    index = collection.index(collection.store.find_kind("conv", "image"))
    found: dict[int, None] = {}
    for feature, search in NEAREST:
        if collection.spec.find_kind(feature, search) is None:
            continue
        near = replace(
            query,
            feature=feature,
            search=search,
            turns=False,
            verify=False,
            rerank=False,
            min_confidence=0.0,
            also=(),
            k=max(1, size // 5),
        )
        vector = describe_query(collection, near)
        [hits] = rank(collection, [near], [QueryVectors(vector[None])])
        found |= dict.fromkeys(hit.image_id for hit in hits)
    others = index.live_ids()
    if query.allowed is not None:
        others = others[query.allowed.has(others)]
    others = others[~np.isin(others, np.fromiter(found, np.int64, len(found)))]
    free = max(0, size - len(found))
    spread = np.linspace(0, len(others) - 1, min(free, len(others))).astype(np.int64)
    return sorted([*found, *others[spread].tolist()])[:size]


def _best_window(info: ImageInfo, windows: Boxes | None, scores: FloatArray) -> Candidate:
    """Return an image with the best of its scores, and the window that it belongs to."""
    best = int(scores.argmax())
    region = None
    if windows is not None and len(scores) > 1:
        [region] = to_regions(windows[[best]], info.width, info.height)
    return Candidate(info.id, float(scores[best]), region)


def _best_hits(
    candidates: Sequence[Candidate], infos: Mapping[int, ImageInfo], k: int
) -> list[Hit]:
    best = sorted(candidates, key=lambda c: (-c.score, c.image_id))[:k]
    return [
        Hit(rank, c.image_id, infos[c.image_id].path, min(c.score, 1.0), c.region)
        for rank, c in enumerate(best, 1)
    ]
