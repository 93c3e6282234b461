"""The layer lab: what each tap of the network finds nearest, conv and fc, side by side.

Which layer serves best depends on how near a task is to what the network was trained for
(Azizpour et al. 2016). A store holds few taps; the others are computed for a pool of images, and
kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from indexer.arrays import Boxes, FloatArray, cosines
from indexer.choices import EngineName, Scope, TapKind
from indexer.features.windows import to_regions
from indexer.progress import Progress, no_progress
from indexer.store.records import ImageInfo
from retrieval.collection import Collection
from retrieval.describe import QueryVectors, describe_query
from retrieval.query import Hit, Query
from retrieval.query_image import load_query
from retrieval.ranking import rank
from retrieval.rerank.step import Candidate
from retrieval.tap_vectors import TapVectors

POOL_IMAGES = 120
NEAREST: tuple[tuple[TapKind, Scope], ...] = (
    ("conv", "image"),
    ("fc", "image"),
    ("conv", "region"),
)
OTHERS = 2  # as many others as the nearest of so many kinds; they are the same for all questions


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
        self.vectors = TapVectors(collection, engine)

    def pool(self, query: Query, size: int = POOL_IMAGES) -> list[int]:
        """Return up to `size` image ids: the nearest by conv, fc and regions, and others, evenly.

        In a collection of up to `size` images, or with a filter that leaves no more, it is all.
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
        own = self.vectors.of_query(shown, by_region=by_region)
        known = self.collection.store.image_infos(pool)
        infos = [known[i] for i in pool if i in known]
        found: dict[str, list[Candidate]] = {tap: [] for tap in self.vectors.taps}
        done = 0
        for part in self.vectors.of_images(infos, by_region=by_region):
            for info, rows in part:
                for tap, vectors in (rows or {}).items():
                    windows = self.vectors.windows(info) if len(vectors) > 1 else None
                    scores = cosines(vectors, own[tap][0])
                    found[tap].append(_best_window(info, windows, scores))
            done += len(part)
            progress("Describing images", done, len(infos))
        return [
            TapHits(tap, self.vectors.taps[tap].kind, _best_hits(candidates, known, k))
            for tap, candidates in found.items()
        ]


def _pool(collection: Collection, query: Query, size: int) -> list[int]:
    index = collection.index(collection.store.find_kind("conv", "image"))
    candidates = np.sort(index.live_ids())
    if query.allowed is not None:
        candidates = candidates[query.allowed.has(candidates)]
    if len(candidates) <= size:
        return [int(image_id) for image_id in candidates]
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
            k=max(1, size // (len(NEAREST) + OTHERS)),
        )
        vector = describe_query(collection, near)
        [hits] = rank(collection, [near], [QueryVectors(vector[None])])
        found |= dict.fromkeys(hit.image_id for hit in hits)
    others = np.linspace(0, len(candidates) - 1, size * OTHERS // (len(NEAREST) + OTHERS))
    return sorted({*found, *candidates[others.astype(np.int64)].tolist()})[:size]


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
