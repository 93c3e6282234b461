"""Images to commit, as tests make them up."""

from __future__ import annotations

import numpy as np

from indexer.features.extractor import ImageFeatures
from indexer.images.facts import ImageFacts
from indexer.store.records import Entry, FileState


def plain_entry(number: int) -> Entry:
    """Return an image of the first folder, with vectors of the colour grid."""
    vectors = np.ones((1, 8), np.float32)
    return Entry(
        FileState(1, f"{number}.jpg", 10, 20, bytes([number]) * 32),
        ImageFacts(4, 3, "JPEG", None, None),
        ImageFeatures({"conv": vectors, "fc": vectors}),
    )
