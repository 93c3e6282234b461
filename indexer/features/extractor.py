"""FeatureExtractor: the only way from pixels to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from indexer.arrays import BoolArray, Boxes, FloatArray, Pixels, row_lengths, unit_rows, unit_vector
from indexer.choices import EngineName, TapKind
from indexer.errors import DegenerateFeatureError
from indexer.features.engines.load import load_engine
from indexer.features.engines.protocols import Activations, InferenceEngine
from indexer.features.pooling import pool, pool_boxes
from indexer.features.preprocess import NetworkInput, crop, input_size
from indexer.features.region_vectors import RegionProjection
from indexer.features.registry import get_backbone
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import PcaProjection
from indexer.features.windows import WindowLayout, receptive_fields
from indexer.images.resize import resize_pixels

WHOLE: Boxes = np.array([[0, 0, 1, 1]], np.float32)
NO_BOXES: Boxes = np.empty((0, 4), np.float32)


@dataclass(frozen=True)
class ImageFeatures:
    """The vectors of one image by the name of their kind, float32 and of unit length.

    Those of kinds of scope "image" are (1, D), those of scope "region" (R, D'), where row i
    belongs to `boxes[i]` (R, 4), normalised.
    """

    vectors: dict[str, FloatArray]
    boxes: Boxes = field(default_factory=lambda: NO_BOXES)


_Result = ImageFeatures | DegenerateFeatureError


class FeatureExtractor:
    """Turns images into the vectors that `spec` describes, one forward pass an image.

    The sliding scheme adds one pass a window. `adaptation` is the second whitening that the spec
    names, if any. The vectors of an image depend on the image, the spec and the engine only;
    threads may share an extractor.
    """

    def __init__(
        self,
        spec: FeatureSpec,
        *,
        engine: EngineName = "auto",
        inference: InferenceEngine | None = None,
        adaptation: PcaProjection | None = None,
    ) -> None:
        self.spec = spec
        self.backbone = get_backbone(spec.backbone)
        self.inference = inference or load_engine(self.backbone, spec.taps, engine)
        self._regions = RegionProjection(spec, adaptation)

    @property
    def pixels_needed(self) -> int:
        """The side of a square of the area at which an image should at least be decoded."""
        if self.spec.regions == "sliding":
            return max(self.spec.size_px, round(self.spec.crop_px / min(self.spec.scales)))
        return self.spec.size_px

    # --- images to features --------------------------------------------------------------------

    def extract(self, images: Sequence[Image.Image | Pixels]) -> list[_Result]:
        """Return the features of upright RGB images, in order, or why an image has none."""
        pixels = [np.asarray(image) for image in images]
        views = [self._whole_view(image) for image in pixels]

        def describe(place: int, activations: Activations) -> _Result:
            try:
                return self._features(views[place], activations)
            except DegenerateFeatureError as error:
                return error

        results = self.inference.run([view.pixels for view in views], describe)
        if self.spec.regions == "sliding":
            parts = zip(results, pixels, views, strict=True)
            results = [self._add_crops(result, image, view) for result, image, view in parts]
        return results

    def _whole_view(self, image: Pixels) -> NetworkInput:
        windows = NO_BOXES if self.spec.regions == "none" else self.spec.layout
        return self.view(image, self.spec.size_px, windows)

    def _features(self, view: NetworkInput, activations: Activations) -> ImageFeatures:
        """Return what one forward pass of the whole image gives."""
        vectors = {
            kind.name: self.image_vector(kind.feature, activations)[None]
            for kind in self.spec.kinds_of("image")
        }
        if self.spec.regions != "grid":
            return ImageFeatures(vectors)
        regions = {"conv": self.region_vectors(activations, view.boxes)}
        return self._with_regions(vectors, regions, self.receptive_fields(view))

    def _add_crops(self, result: _Result, image: Pixels, view: NetworkInput) -> _Result:
        """Add the vectors of the windows, each forwarded by itself."""
        if isinstance(result, DegenerateFeatureError):
            return result
        crops = [self.resize(crop(image, box), self.spec.crop_px) for box in view.boxes]

        def describe(_: int, activations: Activations) -> tuple[FloatArray, FloatArray]:
            fc = unit_rows(activations[self.spec.fc][None])
            return self.region_vectors(activations, WHOLE), fc

        conv, fc = zip(*self.inference.run(crops, describe), strict=True)
        try:
            regions = {"conv": np.vstack(conv), "fc": np.vstack(fc)}
            return self._with_regions(result.vectors, regions, view.boxes)
        except DegenerateFeatureError as error:
            return error

    def _with_regions(
        self, vectors: dict[str, FloatArray], regions: dict[str, FloatArray], boxes: Boxes
    ) -> ImageFeatures:
        """Join vectors of the image with those of its windows (R, E) by feature.

        A window without any activation has no direction and is left out.
        """
        kept = _has_direction(regions["conv"])
        if not kept[0]:
            raise DegenerateFeatureError("The image has no activations to describe.")
        described = {k.name: regions[k.feature][kept] for k in self.spec.kinds_of("region")}
        return ImageFeatures(vectors | described, boxes[kept])

    # --- parts of the way, for queries, close looks and explanations ------------------------------

    def resize(self, image: Image.Image | Pixels, size_px: int) -> Pixels:
        """Return an image as network input of about `size_px`² pixels: (H, W, 3) uint8."""
        pixels = np.asarray(image)
        size = input_size(pixels.shape[1], pixels.shape[0], size_px, self.backbone)
        return resize_pixels(pixels, size, self.spec.resampling)

    def view(
        self, image: Pixels, size_px: int, windows: Boxes | WindowLayout = WHOLE
    ) -> NetworkInput:
        """Return an image (H, W, 3) at about `size_px`² pixels, and windows in it.

        The windows are normalised boxes, or a layout of boxes on the network's input.
        """
        pixels = self.resize(image, size_px)
        height, width = pixels.shape[:2]
        boxes = windows.boxes(width, height) if isinstance(windows, WindowLayout) else windows
        return NetworkInput(pixels, boxes)

    def image_vector(self, feature: TapKind, activations: Activations) -> FloatArray:
        """Return the unit vector (D,) of a whole image: of the fc tap, or of the pooled conv tap.

        Raises `DegenerateFeatureError` where it has no direction.
        """
        if feature == "fc":
            return unit_vector(activations[self.spec.fc])
        maps = activations[self.spec.conv]
        return unit_vector(pool(maps, self.spec.pooling, self.spec.gem_p))

    def region_vectors(self, activations: Activations, boxes: Boxes) -> FloatArray:
        """Return the unit vectors (R, E) of `boxes` on the conv maps of one forward pass.

        A box without any activation has a zero row or one that is not finite.
        """
        pooled = {tap: pool_boxes(activations[tap], boxes) for tap in self.spec.region_taps}
        return self._regions.apply(pooled)

    def describe_views(self, views: Sequence[NetworkInput]) -> list[FloatArray]:
        """Return the region vectors (R, E) of the windows of each view."""
        return self.inference.run(
            [view.pixels for view in views],
            lambda place, activations: self.region_vectors(activations, views[place].boxes),
        )

    def receptive_fields(self, view: NetworkInput) -> Boxes:
        """Return what the windows of a view respond to on the coarsest map, normalised (R, 4).

        See `receptive_fields` of `windows`.
        """
        stride = max(self.backbone.tap(tap).stride_px for tap in self.spec.region_taps)
        height, width = view.pixels.shape[:2]
        return receptive_fields(view.boxes, max(1, width // stride), max(1, height // stride))

    def attribute_score(
        self, pooled: dict[str, FloatArray], vector: FloatArray
    ) -> tuple[dict[str, FloatArray], float]:
        """Split the score of a window with a query vector (E,) among the channels of the taps.

        `pooled` (C,) by tap are the window's pooled values. Returns parts (C,) by tap and an
        offset, which together add up to the cosine.
        """
        return self._regions.attribute_score(pooled, vector)


def _has_direction(vectors: FloatArray) -> BoolArray:
    """Say of each row (N, D) whether it is a unit vector."""
    found: BoolArray = np.isfinite(vectors).all(axis=1) & (row_lengths(vectors) > 0.5)
    return found
