"""The layer lab: what each tap of the network finds nearest, conv and fc, side by side.

Which layer serves best depends on how near a task is to what the network was trained for
(Azizpour et al. 2016). A store holds few taps; the others are read anew, for a pool of images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from indexer.errors import ImageError
from indexer.features.engine import Activations, EngineName, load_engine
from indexer.features.extractor import WHOLE
from indexer.features.pooling import FloatArray, pool
from indexer.features.regions import Region
from indexer.features.whitening import unit_rows
from indexer.features.windows import Boxes, pool_boxes, to_regions
from indexer.images import load_image
from retrieval.engine import SearchEngine
from retrieval.query import Feature, Hit, Query, Search

POOL_IMAGES = 240
BATCH = 16
NEAREST: tuple[tuple[Feature, Search], ...] = (
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

    def __init__(self, search: SearchEngine, engine: EngineName = "auto") -> None:
        self.search = search
        backbone = search.extractor.backbone
        self.taps = dict(backbone.taps)
        self.inference = load_engine(backbone, list(self.taps), engine)

    def pool(self, query: Query, size: int = POOL_IMAGES) -> list[int]:
        """Return up to `size` image ids: the nearest by conv, fc and regions, and others, evenly.

        In a collection of up to `size` images it is all of them.
        """
        index = self.search.index("conv")
        found: dict[int, None] = {}
        for feature, search in NEAREST:
            if search == "region" and self.search.store.spec.regions == "none":
                continue
            near = replace(query, feature=feature, search=search, rerank=False, k=max(1, size // 5))
            found |= dict.fromkeys(hit.image_id for hit in self.search.search(near))
        others = index.live_ids()
        if query.allowed is not None:
            others = np.intersect1d(others, np.array(sorted(query.allowed), np.int64))
        others = others[~np.isin(others, np.fromiter(found, np.int64, len(found)))]
        free = max(0, size - len(found))
        spread = np.linspace(0, len(others) - 1, min(free, len(others))).astype(np.int64)
        return sorted([*found, *others[spread].tolist()])[:size]

    def rank(
        self,
        query: Query,
        pool: Sequence[int],
        k: int = 8,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[TapHits]:
        """Return the `k` best of `pool` by each tap, in the order of the network.

        A search of regions compares each conv tap with windows and gives their boxes; fc always
        compares whole images. Images whose files are gone are passed over; `progress` is called
        with (done, total). Raises `ImageError` for an unusable query image.
        """
        windows = query.search == "region"
        image, box = self.search.query_image(query)
        shown = image if box is None else image.crop(box.as_tuple())
        [own] = self._describe([shown], [WHOLE if windows else None])
        infos = self.search.store.image_infos(pool)
        layout = self.search.store.spec.layout
        scores: dict[str, list[tuple[float, int, Region | None]]] = {tap: [] for tap in self.taps}
        ids = [i for i in pool if i in infos]
        for start in range(0, len(ids), BATCH):
            images = {i: loaded for i in ids[start : start + BATCH] if (loaded := self._load(i))}
            boxes = [layout.boxes(*i.size) if windows else None for i in images.values()]
            described = self._describe(list(images.values()), boxes)
            for image_id, own_boxes, vectors in zip(images, boxes, described, strict=True):
                for tap, rows in vectors.items():
                    cosines = rows @ own[tap][0]
                    best = int(cosines.argmax())
                    region = None
                    if own_boxes is not None and len(rows) > 1:
                        info = infos[image_id]
                        [region] = to_regions(own_boxes[[best]], info.width, info.height)
                    scores[tap].append((float(cosines[best]), image_id, region))
            if progress is not None:
                progress(min(start + BATCH, len(ids)), len(ids))
        return [
            TapHits(
                tap,
                self.taps[tap].kind,
                [
                    Hit(rank, image_id, infos[image_id].path, min(score, 1.0), region)
                    for rank, (score, image_id, region) in enumerate(
                        sorted(found, key=lambda f: (-f[0], f[1]))[:k], 1
                    )
                ],
            )
            for tap, found in scores.items()
        ]

    def _describe(
        self, images: Sequence[Image.Image], boxes: Sequence[Boxes | None]
    ) -> list[dict[str, FloatArray]]:
        """Return unit rows by tap for each image: one, or one a box for conv taps."""
        extractor = self.search.extractor
        pixels = [extractor.resize(image, extractor.spec.size_px) for image in images]
        return [
            {tap: self._rows(tap, activations, own) for tap in self.taps}
            for own, activations in zip(boxes, self.inference.run(pixels), strict=True)
        ]

    def _rows(self, tap: str, activations: Activations, boxes: Boxes | None) -> FloatArray:
        values = activations[tap]
        if self.taps[tap].kind == "fc":
            return unit_rows(values[None])
        if boxes is not None:
            return unit_rows(pool_boxes(values, boxes))
        spec = self.search.extractor.spec
        return unit_rows(pool(values, spec.pooling, spec.gem_p)[None])

    def _load(self, image_id: int) -> Image.Image | None:
        path = self.search.store.image_infos([image_id])[image_id].path
        try:
            return load_image(path, at_least=self.search.extractor.spec.size_px).image
        except ImageError:
            return None
