"""Removing: taking images out of a store by path."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from indexer.errors import NoImagesError
from indexer.store.filters import images_at
from indexer.store.store import Store


def remove_images(store: Store, places: Sequence[Path]) -> int:
    """Forget the images that `places` (files, or folders with all below) name; return how many.

    Raises `NoImagesError`, before anything is removed, for a place the store knows nothing of.
    """
    with store.writing():
        chosen: dict[int, bool] = {}
        for place in (Path(os.path.abspath(p)) for p in places):
            here = images_at(store, place)
            if not here:
                raise NoImagesError(f"The store knows no image at {place}; nothing was removed.")
            chosen |= here
        store.remove(list(chosen))
    return sum(chosen.values())
