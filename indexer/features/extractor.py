"""FeatureExtractor: the only way from pixels to vectors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from indexer.errors import DegenerateFeatureError
from indexer.features.backbones import get_backbone
from indexer.features.engine import (
    Activations,
    EngineName,
    InferenceEngine,
    KeptMaps,
    PooledMaps,
    Pooler,
    PoolingEngine,
    T,
    Windowed,
    load_engine,
)
from indexer.features.inputs import Prepared, View, crop, input_size
from indexer.features.maps import ActivatedMaps
from indexer.features.pooling import FloatArray
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import (
    FEW_ROWS,
    Axes,
    row_lengths,
    shipped_whitening,
    unit_rows,
)
from indexer.features.windows import Boxes, WindowLayout, grow_to_sight
from indexer.images import Pixels, resize_pixels

if TYPE_CHECKING:
    from indexer.features.compiled import CompiledWhitening

MANY_ROWS = 16  # region vectors, not of a few at a time, that it pays to compile the whitening for
WHOLE: Boxes = np.array([[0, 0, 1, 1]], np.float32)
NOTHING: FloatArray = np.empty((0, 0), np.float32)


@dataclass(frozen=True)
class Pooled:
    """What of an image's activations is kept until it is whitened with those of others.

    Row i of the windows in `maps` belongs to `boxes[i]`, in shares of the image's sides. `fc_rows`
    (R, D') are the windows' unit fc vectors in the sliding scheme, else (0, 0).
    """

    maps: KeptMaps
    boxes: Boxes
    fc_rows: FloatArray


@dataclass(frozen=True)
class ImageFeatures:
    """Vectors of one image, float32, unit L2 rows.

    `conv` (D,), `fc` (D',), `region` (R, E) and, in the sliding scheme, `region_fc` (R, D'); row i
    belongs to `boxes[i]`, in shares of the image's sides.
    """

    conv: FloatArray
    fc: FloatArray
    boxes: Boxes
    region: FloatArray
    region_fc: FloatArray


class FeatureExtractor:
    """Turns images into the vectors that `spec` describes, one forward pass an image.

    The sliding scheme adds one pass a window. `adaptation` is the second whitening that the spec
    names, if it names one.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        engine: EngineName = "auto",
        inference: InferenceEngine | None = None,
        adaptation: Axes | None = None,
    ) -> None:
        if bool(spec.adaptation) != (adaptation is not None):
            raise ValueError("the spec and the adaptation given do not go together")
        self.spec = spec
        self.backbone = get_backbone(spec.backbone)
        self.inference = inference or load_engine(self.backbone, spec.taps, engine)
        self._whitening = shipped_whitening(spec.whitening) if spec.whitening else None
        self._adaptation = adaptation
        self._whitened = 0  # rows so far, without those that came a few at a time

    @property
    def pixels_needed(self) -> int:
        """The side of a square of the area at which an image should at least be decoded."""
        if self.spec.regions == "sliding":
            return max(self.spec.size_px, round(self.spec.crop_px / min(self.spec.scales)))
        return self.spec.size_px

    def prepare(self, image: Image.Image | Pixels) -> Prepared:
        """Resize an upright RGB image, and its windows, for the network."""
        image = np.asarray(image)
        pixels = self.resize(image, self.spec.size_px)
        if self.spec.regions == "none":
            return Prepared(pixels, np.empty((0, 4), np.float32))
        boxes = self.spec.layout.boxes(pixels.shape[1], pixels.shape[0])
        crops: tuple[Pixels, ...] = ()
        if self.spec.regions == "sliding":
            crops = tuple(self.resize(crop(image, box), self.spec.crop_px) for box in boxes)
        return Prepared(pixels, boxes, crops)

    def resize(self, image: Image.Image | Pixels, size_px: int) -> Pixels:
        """Return an image as network input of about `size_px`² pixels: (H, W, 3) uint8."""
        pixels = np.asarray(image)
        size = input_size(pixels.shape[1], pixels.shape[0], size_px, self.backbone)
        return resize_pixels(pixels, size, self.spec.resampling)

    def extract(self, images: Sequence[Image.Image | Pixels]) -> list[ImageFeatures]:
        """Return the features of upright RGB images, in order.

        Raises `DegenerateFeatureError` where a vector has no direction.
        """
        return self.extract_prepared([self.prepare(image) for image in images])

    def extract_prepared(self, prepared: Sequence[Prepared]) -> list[ImageFeatures]:
        """Return the features of images that `prepare` made ready, in order."""
        features = []
        for result in self.whiten(self.pool(prepared)):
            if isinstance(result, DegenerateFeatureError):
                raise result
            features.append(result)
        return features

    def look(
        self,
        images: Sequence[Windowed],
        use: Callable[[int, PooledMaps], T],
        *,
        in_turn: bool = False,
    ) -> list[T]:
        """Return what `use` makes of the pooled activations of each image, given its place.

        See `InferenceEngine.apply` for what `use` may do, and for `in_turn`.
        """
        if self._pooler is not None:
            return self._pooler.look(images, use, in_turn=in_turn)
        return self.inference.apply(
            [image.pixels for image in images],
            lambda i, activations: use(i, ActivatedMaps(activations, images[i].boxes, self.spec)),
            in_turn=in_turn,
        )

    @cached_property
    def _pooler(self) -> Pooler | None:
        engine = self.inference
        return engine.pooler(self.spec) if isinstance(engine, PoolingEngine) else None

    def pool(self, prepared: Sequence[Prepared], *, in_turn: bool = False) -> list[Pooled]:
        """Run images through the network and pool them: the first half of `extract_prepared`.

        See `InferenceEngine.apply` for `in_turn`.
        """
        if self.spec.regions != "sliding":
            return self.look(
                prepared, lambda i, maps: self._pooled(prepared[i], maps), in_turn=in_turn
            )
        wholes = self.look(
            [Prepared(item.pixels, WHOLE) for item in prepared],
            lambda _, maps: maps.kept(),
            in_turn=in_turn,
        )
        return [
            self._pool_crops(*pair, in_turn=in_turn) for pair in zip(prepared, wholes, strict=True)
        ]

    def forward(self, prepared: Sequence[Prepared]) -> list[Activations]:
        """Run images through the network only."""
        return self.inference.run([item.pixels for item in prepared])

    def pool_activations(self, item: Prepared, activations: Activations) -> Pooled:
        """Pool what `forward` gave."""
        maps = ActivatedMaps(activations, item.boxes, self.spec)
        if self.spec.regions == "sliding":
            return self._pool_crops(item, maps.kept(), in_turn=False)
        return self._pooled(item, maps)

    def _pooled(self, item: Prepared, maps: PooledMaps) -> Pooled:
        boxes = self.sight(item.boxes, item.shape) if self.spec.regions == "grid" else item.boxes
        return Pooled(maps.kept(), boxes, NOTHING)

    def _pool_crops(self, item: Prepared, whole: KeptMaps, *, in_turn: bool) -> Pooled:
        """Forward the windows of an image, each by itself."""
        seen = self.look(
            [Prepared(pixels, WHOLE) for pixels in item.crops],
            lambda _, maps: (maps.rows(), maps.before_fc().copy()),
            in_turn=in_turn,
        )
        maps = replace(whole, rows=self._stack([rows for rows, _ in seen]))
        return Pooled(maps, item.boxes, unit_rows(self.fc([before for _, before in seen])))

    def fc(self, before: Sequence[FloatArray]) -> FloatArray:
        """Return the fc activations (N, D') of images, for what `PooledMaps.before_fc` gave."""
        rows = np.stack(before)
        return rows if self._pooler is None else self._pooler.fc(rows)

    def whiten(self, pooled: Sequence[Pooled]) -> list[ImageFeatures | DegenerateFeatureError]:
        """Make features of what `pool` gave, or say why an image has none.

        The more images together the better: a whitening takes its time to be read from memory.
        """
        if not pooled:
            return []
        regions = [NOTHING] * len(pooled)
        if self.spec.regions != "none":
            regions = self.whiten_windows([p.maps.rows for p in pooled])
        fc = self.fc([p.maps.before_fc for p in pooled])
        return [self._checked(*row) for row in zip(pooled, fc, regions, strict=True)]

    def _checked(
        self, pooled: Pooled, fc: FloatArray, region: FloatArray
    ) -> ImageFeatures | DegenerateFeatureError:
        try:
            conv, fc = unit(pooled.maps.conv), unit(fc)
        except DegenerateFeatureError as error:
            return error
        boxes, region_fc = pooled.boxes, pooled.fc_rows
        if self.spec.regions != "none":
            # A window without any activation has no direction: it is left out.
            good = np.isfinite(region).all(axis=1) & (row_lengths(region) > 0.5)
            if not good[0]:
                return DegenerateFeatureError("The image has no activations to describe.")
            if not good.all():
                boxes, region = boxes[good], region[good]
                region_fc = region_fc[good] if len(region_fc) else region_fc
        return ImageFeatures(conv, fc, boxes, region, region_fc)

    def view(self, image: Pixels, size_px: int, windows: Boxes | WindowLayout = WHOLE) -> View:
        """Return an image (H, W, 3) as it enters the network at about `size_px`², and its windows.

        They are boxes in shares of its sides, or the layout of boxes on the network's input.
        """
        size = input_size(image.shape[1], image.shape[0], size_px, self.backbone)
        boxes = windows.boxes(*size) if isinstance(windows, WindowLayout) else windows
        return View(image, boxes, size, self.spec.resampling)

    def describe_views(self, views: Sequence[View]) -> list[FloatArray]:
        """Return the region vectors (R, E) of the windows of views."""
        return self.whiten_windows(self.look(views, lambda _, maps: maps.rows()))

    def region_vectors(self, activations: Activations, boxes: Boxes) -> FloatArray:
        """Return the unit vectors (R, E) of `boxes` on the conv maps of one forward pass."""
        return self.whiten_windows([ActivatedMaps(activations, boxes, self.spec).rows()])[0]

    def _stack(self, pooled: Sequence[dict[str, FloatArray]]) -> dict[str, FloatArray]:
        return {tap: np.vstack([p[tap] for p in pooled]) for tap in self.spec.region_taps}

    def whiten_windows(self, pooled: Sequence[dict[str, FloatArray]]) -> list[FloatArray]:
        """Return the unit vectors (R, E) of the windows of several images."""
        if len(pooled) == 1:
            return [self._adapt(self._join(pooled[0]))]
        if not pooled:
            return []
        together = self._stack(pooled)
        ends = np.cumsum([len(p[self.spec.region_taps[0]]) for p in pooled])[:-1]
        return np.split(self._adapt(self._join(together)), ends)

    def sight(self, boxes: Boxes, shape: tuple[int, ...]) -> Boxes:
        """Return what windows see on the coarsest map of a network input of `shape` (H, W, 3).

        See `grow_to_sight`.
        """
        stride = max(self.backbone.tap(tap).stride_px for tap in self.spec.region_taps)
        height, width = shape[:2]
        return grow_to_sight(boxes, max(1, width // stride), max(1, height // stride))

    def score_gradient(
        self, pooled: dict[str, FloatArray], vector: FloatArray
    ) -> tuple[dict[str, FloatArray], float]:
        """Split the score of a window with a query vector (E,) among the channels of the taps.

        `pooled` (C,) by tap are the window's pooled values. Returns parts (C,) by tap and an
        offset, which together add up to the cosine.
        """
        rows = {tap: values[None] for tap, values in pooled.items()}
        unit_pooled = {tap: unit_rows(values)[0] for tap, values in rows.items()}
        plain = self._join(rows)
        gradient = vector
        score = float(self._adapt(plain)[0] @ vector)
        if self._adaptation is not None:
            gradient = self._adaptation.pull_back(plain[0], vector)
        if self._whitening is not None:
            by_tap = self._whitening.pull_back(pooled, gradient)
        else:
            sizes = np.cumsum([len(values) for values in pooled.values()])[:-1]
            split = np.split(gradient / math.sqrt(len(pooled)), sizes)
            by_tap = dict(zip(pooled, split, strict=True))
        parts = {tap: by_tap[tap] * unit_pooled[tap] for tap in pooled}
        return parts, score - float(sum(part.sum() for part in parts.values()))

    def _join(self, pooled: dict[str, FloatArray]) -> FloatArray:
        if self._whitening is not None:
            rows = len(next(iter(pooled.values())))
            if rows > FEW_ROWS:
                self._whitened += rows
                if self._whitened >= MANY_ROWS:
                    return self._compiled.apply(pooled)
            return self._whitening.apply(pooled)
        return unit_rows(np.hstack([unit_rows(values) for values in pooled.values()]))

    @cached_property
    def _compiled(self) -> CompiledWhitening:
        if self._whitening is None:
            raise ValueError("the spec names no whitening")
        from indexer.features.compiled import CompiledWhitening

        return CompiledWhitening(self._whitening)

    def _adapt(self, vectors: FloatArray) -> FloatArray:
        return vectors if self._adaptation is None else self._adaptation.apply(vectors)


def unit(vector: FloatArray) -> FloatArray:
    """Return `vector` at L2 length 1; raises `DegenerateFeatureError` for zero or non-finite."""
    norm = float(np.linalg.norm(vector))
    if not math.isfinite(norm) or norm < 1e-12:
        raise DegenerateFeatureError(
            f"A feature vector has length {norm}: it has no direction to compare. "
            "The weights or the image are unusable."
        )
    return (vector / norm).astype(np.float32)
