"""FeatureExtractor: the only way from pixels to vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from indexer.errors import DegenerateFeatureError
from indexer.features.backbones import Backbone, get_backbone
from indexer.features.engine import Activations, EngineName, InferenceEngine, Pixels, load_engine
from indexer.features.pooling import FloatArray, pool
from indexer.features.spec import FeatureSpec

# A panorama's long side is at most this many times the short side at the network's input.
MAX_ELONGATION = 16


@dataclass(frozen=True)
class ImageFeatures:
    """Vectors of one image, unit L2: `conv` (D,) and `fc` (D',), float32."""

    conv: FloatArray
    fc: FloatArray


class FeatureExtractor:
    """Turns images into the vectors that `spec` describes, one forward pass an image."""

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        engine: EngineName = "auto",
        inference: InferenceEngine | None = None,
    ) -> None:
        self.spec = spec
        self.backbone = get_backbone(spec.backbone)
        self.inference = inference or load_engine(self.backbone, (spec.conv, spec.fc), engine)

    def prepare(self, image: Image.Image) -> Pixels:
        """Resize an upright RGB image for the network: (H, W, 3) uint8."""
        size = input_size(*image.size, self.spec.size_px, self.backbone)
        if image.size != size:
            image = image.resize(size, Image.Resampling.BICUBIC)
        return np.asarray(image)

    def extract(self, images: Sequence[Image.Image]) -> list[ImageFeatures]:
        """Return the features of upright RGB images, in order.

        Raises `DegenerateFeatureError` where a vector has no direction.
        """
        return self.extract_prepared([self.prepare(image) for image in images])

    def extract_prepared(self, inputs: Sequence[Pixels]) -> list[ImageFeatures]:
        """Return the features of images that `prepare` made ready, in order."""
        return [self._pool(activations) for activations in self.inference.run(inputs)]

    def _pool(self, activations: Activations) -> ImageFeatures:
        conv = pool(activations[self.spec.conv], self.spec.pooling, self.spec.gem_p)
        return ImageFeatures(unit(conv), unit(activations[self.spec.fc]))


def unit(vector: FloatArray) -> FloatArray:
    """Return `vector` at L2 length 1; raises `DegenerateFeatureError` for zero or non-finite."""
    norm = float(np.linalg.norm(vector))
    if not math.isfinite(norm) or norm < 1e-12:
        raise DegenerateFeatureError(
            f"A feature vector has length {norm}: it has no direction to compare. "
            "The weights or the image are unusable."
        )
    return (vector / norm).astype(np.float32)


def input_size(width: int, height: int, size_px: int, backbone: Backbone) -> tuple[int, int]:
    """Return the (width, height) at which an image enters the network.

    The area is about `size_px`², the aspect ratio is kept to within half a multiple of the
    backbone's `multiple_px`, and both sides are at least its smallest input.
    """
    ratio = min(max(width / height, 1 / MAX_ELONGATION), MAX_ELONGATION)
    multiple = backbone.multiple_px
    least = math.ceil(backbone.min_size_px / multiple) * multiple
    sides = (size_px * math.sqrt(ratio), size_px / math.sqrt(ratio))
    w, h = (max(least, round(side / multiple) * multiple) for side in sides)
    return w, h
