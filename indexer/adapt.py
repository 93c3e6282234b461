"""Adapting: a whitening learned from the user's own collection, and the store re-encoded by it."""

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
from indexer.steps import Tell, begin, untold
from indexer.store.store import Store

SAMPLE_VECTORS = 200_000


def adapt_store(store: Store, tell: Tell = untold) -> FeatureSpec:
    """Learn a second whitening from the region vectors of `store` and apply it to all of them.

    No image is decoded. The change is one commit; conv and fc vectors of whole images stay.
    Raises `FeatureError` where there are too few vectors to learn from, and `StoreError` where the
    store has no regions or is adapted already.
    """
    store.refresh()
    if store.spec.adaptation:
        raise StoreError(
            f"The store at {store.path} has a whitening of its own already. To learn a new one, "
            "index the photos again with cbir index --rebuild, then run cbir whiten."
        )
    with store.writing():
        tell("Learning a whitening", 0, 0)
        index = store.vector_index("region")
        sample = index.sample(SAMPLE_VECTORS)
        check_count(len(sample), index.dimension)
        axes = principal_axes(sample, index.dimension, COLLECTION_POWER, COLLECTION_SHRINKAGE)
        axes.write(store.path / f"adaptation-{axes.digest}.npz")
        spec = dataclasses.replace(store.spec, adaptation=axes.digest)
        store.replace_vectors("region", axes.apply, spec, begin(tell, "Re-encoding the regions"))
    return spec
