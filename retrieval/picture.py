"""Picture: an image kept for close looks, at no more pixels than they need."""

from __future__ import annotations

import os
from dataclasses import dataclass

from indexer.arrays import Pixels
from indexer.features.regions import Region
from indexer.images.accepted import load_accepted
from indexer.images.resize import resize_pixels
from indexer.sources.place import Place

DECODERS = os.cpu_count() or 2  # threads that read images, where several are needed


@dataclass(frozen=True)
class Picture:
    """Upright RGB `pixels` (H, W, 3) of an image; `size` is its own (width, height).

    Regions are in pixels of the image itself, whatever is kept of it.
    """

    pixels: Pixels
    size: tuple[int, int]

    @classmethod
    def load(cls, path: Place, size: tuple[int, int], side_px: int) -> Picture:
        """Read an image file, of `size` when it was indexed, and `keep` what is asked for.

        Raises `ImageError` as `load_accepted` does.
        """
        square = min(size)
        loaded = load_accepted(path, size, at_least=side_px, part=(0, 0, square, square))
        return cls.keep(loaded.pixels, (loaded.facts.width, loaded.facts.height), side_px)

    @classmethod
    def keep(cls, pixels: Pixels, size: tuple[int, int], side_px: int) -> Picture:
        """Return a picture of an image of `size`, its shorter side brought down to `side_px`."""
        height, width = pixels.shape[:2]
        share = side_px / min(width, height)
        if share < 1:
            pixels = resize_pixels(pixels, (round(width * share), round(height * share)))
        return cls(pixels, size)

    def crop(self, region: Region) -> Pixels:
        """Return what is kept of a region (h, w, 3); at least one pixel."""
        height, width = self.pixels.shape[:2]
        box = region.scaled(self.size, (width, height))
        return self.pixels[box.y0 : box.y1, box.x0 : box.x1]
