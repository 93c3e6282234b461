"""What all pages and visitors share: one engine on the store, and what was worked out for them."""

from __future__ import annotations

import os
from collections.abc import Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from indexer.arrays import IdArray
from indexer.choices import TapKind
from indexer.features.spec import FeatureSpec
from indexer.image_set import ImageSet
from indexer.memory import Shelf
from indexer.store.annotations import read_fields
from indexer.store.filters import ImageFilter, find_ids, folders
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


@dataclass(frozen=True)
class Session:
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

    def as_of_now(self, *key: Hashable) -> tuple[Hashable, ...]:
        """Return a key that changes whenever something is committed."""
        return self.store.commits(), *key


@st.cache_resource(show_spinner="Opening the store …", max_entries=1)
def _open(path: str, _file: tuple[int, int]) -> Session:
    shared = opened_store(path or None)
    feedback = RelevanceFeedback(shared.engine.collection)
    return Session(shared.engine, shared.gallery, feedback, Turns(), Shelf())


def session() -> Session:
    """Return what is shared; raises `CbirError` without a store."""
    path = os.environ.get("CBIR_STORE", "")
    return _open(path, catalog_identity(Path(path)))


def turn() -> AbstractContextManager[None]:
    """Wait for a turn at the store, and hold it: one search at a time, see `Turns`."""
    return session().turns.turn(require_wanted)


def require_wanted() -> None:
    """End the run of a page that a newer one has replaced, or whose page was closed."""
    st.session_state.get("image")  # Streamlit ends such a run wherever it reads its state


def census() -> Census:
    """Return the counts of the collection."""
    shared = session()
    return shared.kept.get(
        shared.as_of_now("census"),
        lambda: count_images(shared.store),
        lambda counts: NAME_BYTES * (len(counts.failed) + len(counts.years)),
    )


def folder_names() -> list[str]:
    """Return the folders that hold images."""
    shared = session()
    return shared.kept.get(
        shared.as_of_now("folders"),
        lambda: [str(folder) for folder in folders(shared.store)],
        lambda names: NAME_BYTES * len(names),
    )


def tag_counts() -> dict[str, int]:
    """Return how many images have each tag."""
    shared = session()
    return shared.kept.get(
        shared.as_of_now("tags"),
        lambda: count_tags(shared.store),
        lambda tags: NAME_BYTES * len(tags),
    )


def own_fields() -> list[str]:
    """Return the names of the fields of the user's own."""
    shared = session()
    return shared.kept.get(
        shared.as_of_now("fields"),
        lambda: list(read_fields(shared.store)),
        lambda names: NAME_BYTES * len(names),
    )


def allowed_ids(wanted: ImageFilter) -> ImageSet:
    """Return the images that pass a filter."""
    shared = session()
    return shared.kept.get(
        shared.as_of_now("allowed", wanted),
        lambda: find_ids(shared.store, wanted),
        lambda found: found.nbytes,
    )


def all_ids() -> IdArray:
    """Return the ids (N,) of all images; there are none before the first commit."""
    if not count_found(session().store):
        return np.empty(0, np.int64)
    return session().image_index().live_ids()
