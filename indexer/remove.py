"""Removing: taking images out of a store by path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from glob import escape

from indexer.errors import NoImagesError
from indexer.sources.place import Place, absolute, is_below, path_below
from indexer.store.filters import images_at
from indexer.store.store import Store


def remove_images(store: Store, places: Sequence[Place], *, exclude: bool = False) -> int:
    """Forget the images that `places` (files, or folders with all below) name; return how many.

    With `exclude`, later index runs leave these places out. Raises `NoImagesError`, before anything
    is removed, for a place the store knows nothing of.
    """
    with store.writing():
        chosen: dict[int, bool] = {}
        for place in map(absolute, places):
            here = images_at(store, place)
            if not here:
                raise NoImagesError(f"The store knows no image at {place}; nothing was removed.")
            chosen |= here
        store.remove(list(chosen))
        if exclude:
            for place in places:
                _exclude(store, absolute(place))
    return sum(chosen.values())


def _exclude(store: Store, place: Place) -> None:
    """Leave a place out of later runs; a folder of photos as a whole is forgotten."""
    for root_id, root in store.roots().items():
        if is_below(root, place):
            store.remove_root(root_id)
        elif is_below(place, root):
            options = store.root_options()[root_id]
            glob = "/" + escape(path_below(root, place))
            kept = dict.fromkeys((*options.exclude, glob))
            store.remember_root(root_id, options=replace(options, exclude=tuple(kept)))
