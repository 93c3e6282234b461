"""Concept maps: where in an image a linear concept is, by its weights on the cells of a map.

A concept that was learned on pooled channels weighs the channels of each cell as well: the class
activation map of Zhou et al. 2016. Its box is that of the largest connected part that reaches a
share of the maximum.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from indexer.arrays import FloatArray, Pixels
from indexer.features.engines.protocols import activations_of
from indexer.features.extractor import FeatureExtractor
from indexer.features.regions import Region

BOX_SHARE = 0.2  # of the largest value that belongs to the box, as Zhou et al. have it


def concept_heat(maps: FloatArray, weights: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Return what each position adds to a concept: (height, width), 0 to 1, for `size` pixels.

    `maps` (C, h, w) are activations and `weights` (C,) those of the concept. Positions below the
    map's mean are 0; a flat map is 0 everywhere.
    """
    cells = np.einsum("chw,c->hw", maps, weights).astype(np.float32)
    smooth = np.asarray(Image.fromarray(cells).resize(size, Image.Resampling.BILINEAR))
    heat: FloatArray = np.maximum(smooth - cells.mean(), 0)
    highest = float(heat.max())
    return heat / np.float32(highest) if highest > 0 else heat


def box_of_heat(heat: FloatArray, share: float = BOX_SHARE) -> Region:
    """Return the box of the largest connected part of at least `share` of the maximum.

    A map that is 0 everywhere says nothing: then it is the whole image.
    """
    height, width = heat.shape
    if not heat.any():
        return Region(0, 0, width, height)
    reached = (heat >= share * heat.max()).astype(np.uint8)
    _, _, parts, _ = cv2.connectedComponentsWithStats(reached, connectivity=4)
    x, y, w, h, _ = parts[1 + int(parts[1:, cv2.CC_STAT_AREA].argmax())]
    return Region(int(x), int(y), int(x + w), int(y + h))


def locate_concept(
    extractor: FeatureExtractor, weights: FloatArray, images: Sequence[Pixels]
) -> list[Region]:
    """Return the box of a concept in each upright RGB image, in its pixels.

    `weights` (C,) are those of a concept that was learned on the spec's conv tap.
    """
    views = [extractor.resize(image, extractor.spec.size_px) for image in images]
    described = activations_of(extractor.inference, views)
    return [
        box_of_heat(concept_heat(maps[extractor.spec.conv], weights, image.shape[1::-1]))
        for image, maps in zip(images, described, strict=True)
    ]
