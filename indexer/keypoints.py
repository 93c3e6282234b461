"""Keeping the keypoints of every image, so that verifying a match needs no photo."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from indexer.errors import ImageError, StoreError
from indexer.features.local import SIDE_PX, LocalFeatures, find_local_features
from indexer.images.accepted import load_accepted
from indexer.progress import Progress, no_progress
from indexer.store.local_features import (
    has_local_features,
    keep_local_features,
    read_local_features,
)
from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo

PART = 64  # images between two looks at whether to stop


def keypoints_of(store: StoreReader, info: ImageInfo) -> LocalFeatures | None:
    """Return the keypoints of an image; they are found, and kept, where the store has none.

    None where the file is missing, damaged or replaced by another.
    """
    size = info.width, info.height
    kept = read_local_features(store, info.id, size)
    if kept is not None:
        return kept
    try:
        loaded = load_accepted(info.path, size, at_least=SIDE_PX)
    except ImageError:
        return None
    if (loaded.facts.width, loaded.facts.height) != size:
        return None
    found = find_local_features(loaded.pixels, size)
    keep_local_features(store, info.id, found)
    return found


def update_keypoints(
    store: StoreReader,
    progress: Progress = no_progress,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Find the keypoints of every image that has none yet.

    An interruption loses nothing: the next run continues. Raises `StoreError` where they cannot be
    written.
    """
    known = store.catalog.known_files().values()
    ids = sorted(row.id for row in known if row.reason is None)
    missing = [image_id for image_id in ids if not has_local_features(store, image_id)]
    infos = store.image_infos(missing)
    with ThreadPoolExecutor(os.cpu_count() or 2, "keypoints") as threads:
        for start in range(0, len(missing), PART):
            progress("Finding keypoints", start, len(missing))
            part = [infos[i] for i in missing[start : start + PART] if i in infos]
            found = list(threads.map(lambda info: keypoints_of(store, info), part))
            if any(found) and not has_local_features(store, part[-1].id):
                raise StoreError(f"Keypoints cannot be written in the store at {store.path}.")
            if stop():
                raise KeyboardInterrupt
        if missing:
            progress("Finding keypoints", len(missing), len(missing))
