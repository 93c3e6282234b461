"""Zooming in: parts of pictures described again, at a higher resolution and in finer windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from indexer.arrays import FloatArray
from indexer.features.extractor import FeatureExtractor
from indexer.features.regions import Region
from indexer.features.windows import WindowLayout, to_regions
from retrieval.boxes import ANCHOR_SIZES
from retrieval.picture import Picture

CONTEXT = 0.3  # how far beyond a box its surroundings reach on each side, as a share of the box
CROP_SHARE = 0.72  # of the network's native size, at which a crop enters it
FINE = WindowLayout(scales=(0.8, 0.62, 0.48), aspects=(0.7, 1.0, 1.4), overlap=0.5)


@dataclass(frozen=True)
class ZoomedWindows:
    """Windows in and around one region, in pixels of the image, and their unit vectors (R, E)."""

    regions: list[Region]
    vectors: FloatArray


def crop_size(extractor: FeatureExtractor) -> int:
    """Return the side of a square of the area at which a crop enters the network."""
    native_size_px = extractor.backbone.native_size_px
    return max(extractor.backbone.min_size_px, round(native_size_px * CROP_SHARE))


def kept_side(extractor: FeatureExtractor, smallest_scale: float) -> int:
    """Return the shorter side, in pixels, at which pictures are kept to zoom in on.

    The smallest anchor of a square window of the smallest scale still has the pixels of a crop.
    """
    return math.ceil(crop_size(extractor) / (smallest_scale * min(ANCHOR_SIZES)))


def describe_zoomed(
    extractor: FeatureExtractor, pictures: Sequence[Picture], regions: Sequence[Region]
) -> list[ZoomedWindows]:
    """Forward one region of each picture again, with its surroundings, and describe windows."""
    surroundings = [
        region.padded(CONTEXT, *picture.size)
        for picture, region in zip(pictures, regions, strict=True)
    ]
    size_px = crop_size(extractor)
    views = [
        extractor.view(picture.crop(around), size_px, FINE)
        for picture, around in zip(pictures, surroundings, strict=True)
    ]
    zoomed = []
    for around, view, vectors in zip(
        surroundings, views, extractor.describe_views(views), strict=True
    ):
        fields = extractor.receptive_fields(view)
        inside = to_regions(fields, around.x1 - around.x0, around.y1 - around.y0)
        regions_there = [region.shifted(around.x0, around.y0) for region in inside]
        zoomed.append(ZoomedWindows(regions_there, vectors))
    return zoomed
