"""Learning a whitening from the user's own collection, and re-encoding the store by it."""

from __future__ import annotations

import dataclasses

from indexer.errors import StoreError
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import (
    COLLECTION_POWER,
    COLLECTION_SHRINKAGE,
    check_count,
    principal_axes,
)
from indexer.progress import Progress, no_progress
from indexer.store.store import Store

SAMPLE_VECTORS = 200_000


def adapt_store(store: Store, progress: Progress = no_progress) -> FeatureSpec:
    """Learn a second whitening from the region vectors of `store` and apply it to all of them.

    No image is decoded. The change is one commit; the vectors of whole images stay.
    Raises `FeatureError` where there are too few vectors to learn from, and `StoreError` where the
    store has no regions or is adapted already.
    """
    store.refresh()
    if store.spec.adaptation:
        raise StoreError(
            f"The store at {store.path} has a whitening of its own already. To learn a new one, "
            "index the photos again with cbir index --rebuild, then run cbir whiten."
        )
    kind = store.find_kind("conv", "region")
    with store.writing():
        progress("Learning a whitening", 0, 0)
        index = store.vector_index(kind)
        sample = index.sample(SAMPLE_VECTORS)
        check_count(len(sample), index.dimension)
        projection = principal_axes(sample, index.dimension, COLLECTION_POWER, COLLECTION_SHRINKAGE)
        projection.write(store.path / f"adaptation-{projection.digest}.npz")
        spec = dataclasses.replace(store.spec, adaptation=projection.digest)
        store.rewrite_vectors(kind.name, projection.apply, spec, progress)
    return spec
