"""Segmentation: the mask of the matched object, from its outline or an attribution map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from indexer.arrays import FloatArray
from indexer.features.regions import Region
from retrieval.query import Quad

Mask = npt.NDArray[np.bool_]

WORKING_PX = 160  # the long side at which the graph is cut
OBJECT_SHARE = 0.6  # cells with at least this share of the largest contribution are object
GROUND_SHARE = 0.12  # cells in the box with less than this are background
MARGIN = 0.08  # of the box: what lies farther out than this is background
BETA = 200  # how much an edge of the picture hinders the walker


def fill_quad(quad: Quad, size: tuple[int, int]) -> Mask:
    """Return the mask (height, width) of what lies inside an outline."""
    canvas = Image.new("1", size)
    ImageDraw.Draw(canvas).polygon(list(quad), fill=1)
    return np.array(canvas, bool)


def segment_object(image: Image.Image, box: Region, heat: FloatArray) -> Mask:
    """Return the mask (height, width) of the object in `box`, for an upright RGB `image`.

    `heat` (height, width) attributes the match to positions. The strongest are seeds of the object,
    everything well outside the box is background, and a random walker (Grady 2006) on the picture's
    own edges decides between them. The mask is empty if nothing is attributed to any position.
    """
    from skimage.segmentation import random_walker

    scale = min(1.0, WORKING_PX / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = np.asarray(image.resize(size, Image.Resampling.BILINEAR), np.float64) / 255
    seeds = _seeds(box, np.asarray(Image.fromarray(heat).resize(size)), image.size, size)
    undecided = {0, 1, 2} <= set(np.unique(seeds).tolist())
    if undecided and small.std() > 0:
        labels = random_walker(small, seeds, beta=BETA, mode="bf", channel_axis=-1)
    else:
        labels = np.where(seeds == 2, 2, 1)  # nothing to decide, or no edges to decide by
    found = Image.fromarray((labels == 2).astype(np.uint8) * 255)
    return np.asarray(found.resize(image.size, Image.Resampling.BILINEAR)) > 127


def _seeds(
    box: Region, heat: FloatArray, full: tuple[int, int], size: tuple[int, int]
) -> npt.NDArray[np.int32]:
    """Return 2 for object, 1 for background, 0 for undecided, at the working size."""
    x, y = size[0] / full[0], size[1] / full[1]
    outer = box.padded(MARGIN, *full)
    seeds = np.ones(heat.shape, np.int32)
    rows = slice(int(outer.y0 * y), max(int(outer.y0 * y) + 1, round(outer.y1 * y)))
    columns = slice(int(outer.x0 * x), max(int(outer.x0 * x) + 1, round(outer.x1 * x)))
    inside = heat[rows, columns]
    strongest = max(float(inside.max()), 1e-12)
    seeds[rows, columns] = 0
    seeds[rows, columns][inside >= OBJECT_SHARE * strongest] = 2
    inner = np.zeros(heat.shape, bool)
    inner[rows, columns] = inside < GROUND_SHARE * strongest
    seeds[inner] = 1
    return seeds
