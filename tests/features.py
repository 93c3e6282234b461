"""What tests ask of the features of images."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from indexer.arrays import Pixels
from indexer.features.extractor import FeatureExtractor, ImageFeatures


def describe(
    extractor: FeatureExtractor, images: Sequence[Image.Image | Pixels]
) -> list[ImageFeatures]:
    """Return the features of images that all have some."""
    features = []
    for result in extractor.extract(images):
        assert isinstance(result, ImageFeatures)
        features.append(result)
    return features


def lowest_cosine(one: ImageFeatures, other: ImageFeatures, kind: str) -> float:
    """Return the lowest cosine of two images' vectors of a kind that belong together."""
    rows, others = one.vectors[kind], other.vectors[kind]
    assert rows.shape == others.shape
    return float((rows * others).sum(axis=1).min())
