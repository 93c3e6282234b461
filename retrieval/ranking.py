"""Ranking: candidates examined closely, and the query expanded where they agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from indexer.features.extractor import FeatureExtractor, unit
from indexer.features.pooling import FloatArray
from indexer.features.regions import Region
from indexer.features.windows import WindowLayout, to_regions
from indexer.store.segments import IdArray
from retrieval.picture import Picture

if TYPE_CHECKING:
    from retrieval.engine import SearchEngine
    from retrieval.query import Query

CONTEXT = 0.3  # how far beyond a box is looked, on each side, as a share of the box
CROP_SHARE = 0.72  # of the network's native size: at which a crop enters it
FINE = WindowLayout(scales=(0.8, 0.62, 0.48), aspects=(0.7, 1.0, 1.4), overlap=0.5)
NEIGHBOURS = 5
AGREEMENT = 0.1
POOL = 10  # times the candidates: images whose stored vectors are compared again
LOCATED = 20  # hits whose boxes are refined
VOTERS = 8
VOTE_IOU = 0.2
VOTE_SHARPNESS = 20.0
SIZES = (0.75, 1.0, 1.3)
ASPECTS = (0.6, 1.0, 1.6)


@dataclass(frozen=True)
class Candidate:
    """An image that may be a hit, its score and the matched box."""

    image_id: int
    score: float
    region: Region | None


@dataclass(frozen=True)
class Look:
    """A close look at a part of an image: windows there, in pixels of the image, and their vectors.

    `vectors` (R, E) float32 are of unit length.
    """

    regions: list[Region]
    vectors: FloatArray


def kept_side(extractor: FeatureExtractor, least: float) -> int:
    """Return the shorter side, in pixels, at which images are kept for close looks.

    A square window of scale `least`, made smaller, still has the pixels of a crop.
    """
    return math.ceil(close_size(extractor) / (least * min(SIZES)))


def close_size(extractor: FeatureExtractor) -> int:
    """Return the side of a square of the area at which a crop enters the network."""
    return max(
        extractor.backbone.min_size_px, round(extractor.backbone.native_size_px * CROP_SHARE)
    )


def examine(
    extractor: FeatureExtractor, pictures: Sequence[Picture], regions: Sequence[Region]
) -> list[Look]:
    """Look closely at one region of each picture: forward it again, with its context."""
    arounds = [
        region.padded(CONTEXT, *picture.size)
        for picture, region in zip(pictures, regions, strict=True)
    ]
    size_px = close_size(extractor)
    views = [
        extractor.view(picture.crop(around), size_px, FINE)
        for picture, around in zip(pictures, arounds, strict=True)
    ]
    looks = []
    described = extractor.describe_views(views)
    for around, view, vectors in zip(arounds, views, described, strict=True):
        seen = extractor.sight(view.boxes, view.shape)
        inside = to_regions(seen, around.x1 - around.x0, around.y1 - around.y0)
        looks.append(Look([region.shifted(around.x0, around.y0) for region in inside], vectors))
    return looks


class Reranker:
    """Ranks the candidates of one region search anew.

    1. Vectors are compared in the collection's own space: centred on its mean region and whitened,
       with shrinkage, by what its regions have in common (unsupervised; `SearchEngine.background`).
    2. The query is expanded by the best candidates' regions, those that agree with one another.
    3. The first candidates are forwarded again round their best region and compared in finer
       windows; the query is expanded once more by what is found there.
    4. The very first get their boxes refined by crops of the box in several shapes and sizes.
    """

    def __init__(self, search: SearchEngine, query: Query) -> None:
        self.search = search
        self.query = query
        self.space = search.background

    def rerank(self, vector: FloatArray, found: list[Candidate]) -> list[Candidate]:
        """Return `found` in a better order; far down, the order of the search stays."""
        pool, tail = found[: POOL * self.query.candidates], found[POOL * self.query.candidates :]
        own = self.space(vector[None])[0]
        stored = [self.search.space_vectors(c.image_id) for c in pool]
        scores, rows = best_rows(stored, own)
        expanded = expand(own, scores, [v[r] for v, r in zip(stored, rows, strict=True)])
        scores, rows = best_rows(stored, expanded)
        order = np.argsort(-scores, kind="stable")
        index = self.search.index("region")
        ids = [int(index.ids_of_image(c.image_id)[row]) for c, row in zip(pool, rows, strict=True)]
        boxes = self.search.store.regions(ids)
        pool = [
            Candidate(pool[i].image_id, float(scores[i]), boxes[ids[i]])
            for i in order
            if ids[i] in boxes  # else removed since the vectors were opened
        ]
        first, rest = pool[: self.query.candidates], pool[self.query.candidates :]
        first = self._examine(own, expanded, first)
        return first + rest + tail

    def _examine(
        self, own: FloatArray, expanded: FloatArray, first: list[Candidate]
    ) -> list[Candidate]:
        seen: list[int] = []
        pictures: list[Picture] = []
        regions: list[Region] = []
        loaded = self.search.pictures([candidate.image_id for candidate in first])
        for place, (candidate, picture) in enumerate(zip(first, loaded, strict=True)):
            if picture is not None and candidate.region is not None:
                seen.append(place)
                pictures.append(picture)
                regions.append(candidate.region)
        if not seen:
            return first
        looks = examine(self.search.extractor, pictures, regions)
        fine = [self.space(look.vectors) for look in looks]
        scores, rows = best_rows(fine, expanded)
        again = expand(own, scores, [v[r] for v, r in zip(fine, rows, strict=True)])
        scores, rows = best_rows(fine, again)
        stored, _ = best_rows([self.search.space_vectors(first[i].image_id) for i in seen], again)
        ranked = list(first)
        for place, i in enumerate(seen):
            score = (scores[place] + stored[place]) / 2
            ranked[i] = Candidate(
                first[i].image_id, float(score), looks[place].regions[rows[place]]
            )
        ranked.sort(key=lambda c: (-c.score, c.image_id))
        return self._locate(again, ranked)

    def _locate(self, vector: FloatArray, ranked: list[Candidate]) -> list[Candidate]:
        """Refine the boxes of the first candidates; their order stays."""
        top = ranked[:LOCATED]
        tasks = []
        pictures = self.search.pictures([c.image_id for c in top])
        for place, (c, picture) in enumerate(zip(top, pictures, strict=True)):
            if picture is not None and c.region:
                tasks += [(place, picture, box) for box in reshaped(c.region, *picture.size)]
        if not tasks:
            return ranked
        extractor = self.search.extractor
        size_px = close_size(extractor)
        views = [extractor.view(picture.crop(box), size_px) for _, picture, box in tasks]
        vectors = self.space(np.vstack(extractor.describe_views(views)))
        scores = vectors @ vector
        located = list(ranked)
        best: dict[int, float] = {}
        for (place, _, box), score in zip(tasks, scores.tolist(), strict=True):
            if score > best.get(place, -2):
                best[place] = score
                located[place] = replace(ranked[place], region=box)
        return located


def reshaped(box: Region, width: int, height: int) -> list[Region]:
    """Return the box in several sizes and shapes round its centre, within the image."""
    cx, cy = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    side = ((box.x1 - box.x0) * (box.y1 - box.y0)) ** 0.5
    regions = [box]
    for size in SIZES:
        for aspect in ASPECTS:
            w, h = side * size * aspect**0.5, side * size / aspect**0.5
            x0, y0 = max(0, round(cx - w / 2)), max(0, round(cy - h / 2))
            x1, y1 = min(width, round(cx + w / 2)), min(height, round(cy + h / 2))
            if x1 > x0 and y1 > y0:
                regions.append(Region(x0, y0, x1, y1))
    return regions


def vote_box(regions: Sequence[Region], scores: FloatArray) -> Region:
    """Return the box that the best windows agree on, see `vote_boxes`."""
    near = np.argsort(-scores, kind="stable")[:VOTERS]
    boxes = np.array([regions[i].as_tuple() for i in near])
    [box] = vote_boxes(boxes[None], scores[near][None])
    return box


def vote_boxes(boxes: IdArray, scores: FloatArray) -> list[Region]:
    """Return for each object the mean, weighted by score, of the windows that agree on it.

    `boxes` (N, W, 4) and `scores` (N, W) are windows of N objects, best first. Windows stand on a
    grid and the best of them is often but a part of the object; those beside it that score nearly
    as well tell of the rest. Box voting, Gidaris and Komodakis 2015.
    """
    x0, y0, x1, y1 = boxes.transpose(2, 0, 1)  # (N, W) each
    width = np.minimum(x1, x1[:, :1]) - np.maximum(x0, x0[:, :1])
    height = np.minimum(y1, y1[:, :1]) - np.maximum(y0, y0[:, :1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    area = (x1 - x0) * (y1 - y0)
    agrees = shared > VOTE_IOU * (area + area[:, :1] - shared)
    weights = np.exp((scores - scores[:, :1]) * VOTE_SHARPNESS) * agrees
    corners = (weights[:, :, None] * boxes).sum(axis=1) / weights.sum(axis=1, keepdims=True)
    return [
        Region(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))
        for x0, y0, x1, y1 in np.rint(corners).astype(np.int64).tolist()
    ]


def best_rows(sets: Sequence[FloatArray], vector: FloatArray) -> tuple[FloatArray, IdArray]:
    """Return for each set of vectors (R, E) the best score with `vector`, and its row."""
    if not sets:
        return np.empty(0, np.float32), np.empty(0, np.int64)
    scores = np.concatenate(sets) @ vector
    starts = np.cumsum([0, *(len(s) for s in sets)])
    rows = np.array([scores[a:b].argmax() for a, b in pairwise(starts.tolist())], np.int64)
    return scores[starts[:-1] + rows], rows


def expand(own: FloatArray, scores: FloatArray, vectors: Sequence[FloatArray]) -> FloatArray:
    """Return the query averaged with its best neighbours, those that agree with one another.

    Average query expansion (Chum et al. 2007). A neighbour whose mean cosine with the others is
    under `AGREEMENT` is left out, so that a query with one true match is not drawn away from it.
    """
    order = np.argsort(-scores, kind="stable")[:NEIGHBOURS]
    if len(order) < 2:
        return own
    neighbours = np.stack([vectors[i] for i in order])
    alike = neighbours @ neighbours.T
    mean = (alike.sum(axis=1) - 1) / (len(order) - 1)
    agreeing = neighbours[mean >= AGREEMENT]
    return unit(own + agreeing.sum(axis=0)) if len(agreeing) else own
