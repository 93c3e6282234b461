"""Learning the whitening that comes with cbir, from photos that nothing is measured on.

    python -m indexer.learn PHOTOS [--backbone efficientnet_lite0] [--regions grid]

It writes indexer/features/whitenings/DIGEST.npz and prints the digest, which goes into the entry
of the backbone in `BACKBONES`. Windows pooled on the maps of a whole photo and windows forwarded
on their own differ in what they have in common, so each scheme has its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from indexer.arrays import FloatArray
from indexer.features import whitening
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.engines.protocols import activations_of
from indexer.features.extractor import FeatureExtractor
from indexer.features.pooling import pool_boxes
from indexer.features.preprocess import crop
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from indexer.images.find import find_images

TAP_DIMENSIONS = {"stage4": 112, "stage6": 256, "head": 512}
TAP_WEIGHTS = {"stage4": 0.6, "stage6": 1.0, "head": 1.0}
DIMENSIONS = {"grid": 384, "sliding": 512}
POWER = 0.85


def pool_windows(extractor: FeatureExtractor, photos: Iterable[Path]) -> dict[str, FloatArray]:
    """Return the pooled vectors (N, C) of the windows of all photos, by tap."""
    spec = extractor.spec
    pooled: dict[str, list[FloatArray]] = {tap: [] for tap in TAP_DIMENSIONS}
    for path in photos:
        image = load_image(path).pixels
        whole = extractor.view(image, spec.size_px, spec.layout)
        views = [whole]
        if spec.regions == "sliding":
            views = [extractor.view(crop(image, box), spec.crop_px) for box in whole.boxes]
        found = activations_of(extractor.inference, [view.pixels for view in views])
        for view, activations in zip(views, found, strict=True):
            for tap, vectors in pooled.items():
                vectors.append(pool_boxes(activations[tap], view.boxes))
    return {tap: np.vstack(vectors) for tap, vectors in pooled.items()}


def main() -> None:
    """Learn, write and name the whitening."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--regions", choices=tuple(DIMENSIONS), default="grid")
    arguments = parser.parse_args()
    spec = FeatureSpec.create(
        arguments.backbone, regions=arguments.regions, region_taps=tuple(TAP_DIMENSIONS)
    )
    extractor = FeatureExtractor(spec)
    photos = [Path(entry.path) for entry in find_images(arguments.photos)]
    pooled = pool_windows(extractor, photos)
    learned = whitening.learn_whitening(
        pooled,
        tap_dimensions=list(TAP_DIMENSIONS.values()),
        tap_weights=list(TAP_WEIGHTS.values()),
        dimension=DIMENSIONS[arguments.regions],
        power=POWER,
    )
    path = Path(whitening.__file__).parent / "whitenings" / f"{learned.digest}.npz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(learned.to_bytes())
    count = len(next(iter(pooled.values())))
    print(f"{path}: learned from {count} windows of {len(photos)} photos; digest {learned.digest}")


if __name__ == "__main__":
    main()
