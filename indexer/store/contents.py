"""StoreContents: the images of a store with all that it keeps of them, for another store."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexer.arrays import IdArray
from indexer.errors import StoreChangedError, StoreCorruptError
from indexer.store.reader import StoreReader
from indexer.store.records import Entry, KnownFile, StoredFeatures
from indexer.store.vectors.protocol import ImageRows


class StoreContents:
    """The images of a store as of the commit at which this was made.

    `files` are all of them, `skipped` the counts of other files by suffix, of each root, and
    `kinds` the kinds of vectors that are read: those of these names, or all. What is read is
    checked as in every search. Raises `StoreCorruptError`.
    """

    def __init__(self, store: StoreReader, kinds: Collection[str] | None = None) -> None:
        self.store = store
        state = store.reader.state()
        self._commits = state.commits
        self.kinds = [k for k in store.spec.kinds if kinds is None or k.name in kinds]
        self._kinds = {k.name: store.vectors.contents(k.name, state) for k in self.kinds}
        self._dimensions = {entry.kind: entry.dimension for entry in state.segments}
        self.files: list[KnownFile] = list(store.catalog.known_files().values())
        self.skipped = {i: self._read_counts(root.skipped) for i, root in state.roots.items()}
        self.require_unchanged()

    def entries(self, ids: Sequence[int]) -> list[Entry]:
        """Return these images, as another store commits them; vectors are views of the files.

        Raises `StoreChangedError` where the store has changed since.
        """
        found = self.store.catalog.entries(ids)
        self.require_unchanged()
        entries = [found[image_id] for image_id in ids]
        described = [i for i, e in zip(ids, entries, strict=True) if not (e.reason or e.is_blank)]
        features = self._features(described)
        return [replace(e, features=features.get(i)) for i, e in zip(ids, entries, strict=True)]

    def region_ids(self, image_ids: Sequence[int]) -> dict[int, IdArray]:
        """Return the ids of the regions of described images, in the order of their vectors.

        None have any where no kind of region is read.
        """
        of_regions = [kind.name for kind in self.kinds if kind.scope == "region"]
        if not of_regions:
            return {}
        rows = self._kinds[of_regions[0]].read(image_ids)
        return {image_id: rows[image_id][0] for image_id in image_ids}

    def dimensions(self) -> dict[str, int]:
        """Return the dimension of each kind that has vectors."""
        return {k.name: self._dimensions[k.name] for k in self.kinds if k.name in self._dimensions}

    def let_go(self) -> None:
        """Drop the pages of the vector files from this process, where the system supports it."""
        for kind in self._kinds.values():
            kind.let_go()

    def _read_counts(self, text: str) -> dict[str, int]:
        try:
            return {str(suffix): int(count) for suffix, count in json.loads(text).items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise StoreCorruptError(
                f"What the store at {self.store.path} remembers of its folders cannot be read "
                f"({error})."
            ) from error

    def _features(self, image_ids: Sequence[int]) -> dict[int, StoredFeatures]:
        rows = {name: kind.read(image_ids) for name, kind in self._kinds.items()}
        if any(len(found) < len(image_ids) for found in rows.values()):
            raise _incomplete(self.store.path)
        region_kinds = [rows[kind.name] for kind in self.kinds if kind.scope == "region"]
        boxes: dict[int, IdArray] = dict.fromkeys(image_ids, np.empty((0, 4), np.int64))
        if region_kinds and image_ids:
            boxes = self._boxes(region_kinds, image_ids)
        return {
            i: StoredFeatures({name: found[i][1] for name, found in rows.items()}, boxes[i])
            for i in image_ids
        }

    def _boxes(
        self, kinds: Sequence[Mapping[int, ImageRows]], image_ids: Sequence[int]
    ) -> dict[int, IdArray]:
        """Return the boxes (R, 4) of the regions of each image, in the order of their vectors."""
        ids = [kinds[0][image_id][0] for image_id in image_ids]
        for kind in kinds[1:]:
            if not all(
                np.array_equal(own, kind[i][0]) for own, i in zip(ids, image_ids, strict=True)
            ):
                raise _incomplete(self.store.path)
        whole = np.concatenate([np.empty(0, np.int64), *ids])
        boxes = self.store.boxes(whole.tolist())
        if not boxes[:, 2].all():
            raise _incomplete(self.store.path)
        ends = np.cumsum([len(own) for own in ids])[:-1]
        return dict(zip(image_ids, np.split(boxes, ends), strict=True))

    def require_unchanged(self) -> None:
        """Raise `StoreChangedError` where the store has changed since this was made."""
        if self.store.commits() != self._commits:
            raise StoreChangedError(
                f"Another process has changed the store at {self.store.path} meanwhile. Wait for "
                "it to end, and run the same command again to continue."
            )


def _incomplete(store: Path) -> StoreCorruptError:
    return StoreCorruptError(
        f"The store at {store} lacks vectors or boxes of some images. Mend it with: cbir doctor "
        f"--repair --store {store}"
    )
