"""What all pages and visitors of a server share: one engine on the store, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from indexer.arrays import IdArray
from indexer.choices import TapKind
from indexer.features.spec import FeatureSpec
from indexer.image_set import ImageSet
from indexer.memory import Shelf
from indexer.store.annotations import read_fields
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.reader import StoreReader
from indexer.store.statistics import Census, count_found, count_images
from indexer.store.tags import count_tags
from indexer.store.vectors.protocol import VectorIndex
from retrieval.engine import SearchEngine
from retrieval.relevance_feedback import RelevanceFeedback
from ui.gallery import Gallery
from ui.opened import catalog_identity, opened_store
from ui.turns import Turns

# About what Python takes for one, so that the memory of all that is kept stays bounded.
NAME_BYTES = 256

T = TypeVar("T")


@dataclass(frozen=True)
class Shown:
    """The engine on one store, which follows its commits, and what is kept for the pages."""

    engine: SearchEngine
    gallery: Gallery
    feedback: RelevanceFeedback
    turns: Turns
    kept: Shelf

    @property
    def store(self) -> StoreReader:
        """The store that is shown."""
        return self.engine.store

    @property
    def spec(self) -> FeatureSpec:
        """The spec of the store."""
        return self.engine.collection.spec

    def image_index(self, feature: TapKind = "conv") -> VectorIndex:
        """Return the vectors of whole images: one for each image of the store."""
        kind = self.store.find_kind(feature, "image")
        return self.engine.collection.at_last_commit(lambda now: now.index(kind))

    def all_ids(self) -> IdArray:
        """Return the ids (N,) of all images; there are none before the first commit."""
        if not count_found(self.store):
            return np.empty(0, np.int64)
        return self.image_index().live_ids()

    def as_of_now(self, *key: Hashable) -> tuple[Hashable, ...]:
        """Return a key that changes whenever something is committed."""
        return self.store.commits(), *key

    def once(
        self,
        key: tuple[Hashable, ...],
        make: Callable[[], T],
        size: Callable[[T], int],
        require_wanted: Callable[[], object],
    ) -> T:
        """Return what is kept, or make it in its turn: those who ask meanwhile wait for the same.

        Raises what `make` does, and `require_wanted` where nobody waits for it any more.
        """

        def in_turn() -> T:
            with self.turns.turn(require_wanted):
                return self.kept.get(key, make, size)

        return self.kept.get(key, in_turn, size)

    def census(self) -> Census:
        """Return the counts of the collection."""
        return self.kept.get(
            self.as_of_now("census"),
            lambda: count_images(self.store),
            lambda counts: NAME_BYTES * (len(counts.failed) + len(counts.years)),
        )

    def tag_counts(self) -> dict[str, int]:
        """Return how many images have each tag."""
        return self.kept.get(
            self.as_of_now("tags"),
            lambda: count_tags(self.store),
            lambda tags: NAME_BYTES * len(tags),
        )

    def own_fields(self) -> list[str]:
        """Return the names of the fields of the user's own."""
        return self.kept.get(
            self.as_of_now("fields"),
            lambda: list(read_fields(self.store)),
            lambda names: NAME_BYTES * len(names),
        )

    def allowed_ids(self, wanted: ImageFilter) -> ImageSet:
        """Return the images that pass a filter; raises what `find_ids` does."""
        return self.kept.get(
            self.as_of_now("allowed", wanted),
            lambda: find_ids(self.store, wanted),
            lambda found: found.nbytes,
        )


def shown(path: Path | str | None = None) -> Shown:
    """Return what is shared by all who look at a store; raises what `opened_store` does."""
    place = Path(path) if path else None
    return _open(place, catalog_identity(place) if place else (0, 0))


@lru_cache(maxsize=1)
def _open(path: Path | None, _file: tuple[int, int]) -> Shown:
    found = opened_store(path)
    feedback = RelevanceFeedback(found.engine.collection)
    return Shown(found.engine, found.gallery, feedback, Turns(), Shelf())
