"""Unpacker: the images of an export with their vectors, committed to a store some at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from indexer.errors import ExportError
from indexer.exports.cursor import Cursor, split_by_image
from indexer.exports.manifest import Manifest
from indexer.exports.records import TAGS, to_entry
from indexer.exports.rows import REGIONS, ExportSource, ImageRecord, Rows
from indexer.images.facts import ImageFacts
from indexer.progress import Progress
from indexer.reading import ReadingOptions
from indexer.sources.place import Place
from indexer.store.annotations import annotate
from indexer.store.catalog.decision_rows import set_decisions
from indexer.store.decisions import renumber
from indexer.store.records import Entry, StoredFeatures
from indexer.store.store import Store
from indexer.store.tags import replace_tags, save_concept

COMMIT_BYTES = 64 << 20  # of vectors, which are in memory until then

_Key = tuple[int, str]
"""A root of the store, and the path of an image below it."""


class Unpacker:
    """Fills a new store with what the source of an export yields; raises `ExportError`."""

    def __init__(
        self, store: Store, manifest: Manifest, source: ExportSource, places: Mapping[int, Place]
    ) -> None:
        self._store, self._manifest, self._source = store, manifest, source
        self._roots = self._add_roots(places)
        self._cursors = {
            name: Cursor(name, table, source) for name, table in manifest.tables.items()
        }
        self._columns = {column: field for field, column in manifest.fields.items()}
        self._last_id = 0
        self._keys: dict[_Key, int] = {}  # with the ids in the export
        self._held: list[Entry] = []
        self._held_bytes = 0
        self._tags: dict[str, dict[_Key, float]] = {name: {} for name in manifest.concepts}
        self._texts: dict[str, dict[_Key, str]] = {name: {} for name in manifest.fields}

    def run(self, progress: Progress) -> None:
        """Commit all images, and then what people said of them."""
        wanted, done = self._manifest.images, 0
        for records in self._source.images():
            self._add(records)
            done += len(records)
            progress("Reading the export", done, wanted)
        if done != wanted:
            raise ExportError(f"it has {done:,} images, not {wanted:,} as it should")
        for cursor in self._cursors.values():
            cursor.require_end()
        self._commit()
        self._add_user_data()

    def _add_roots(self, places: Mapping[int, Place]) -> dict[int, int]:
        """Add the folders of photos; returns their ids in the store by those in the export."""
        ids = {}
        for root in self._manifest.roots:
            options = ReadingOptions.from_json(root.options)
            ids[root.id] = self._store.add_root(places[root.id], options)
        for root in self._manifest.roots:
            with self._store.catalog.transaction() as change:
                change.change_root(ids[root.id], skipped=root.skipped)
        return ids

    def _add(self, records: Sequence[ImageRecord]) -> None:
        if not records:
            return
        entries = {}
        for record in records:
            entry = to_entry(record, [*self._columns], self._roots)
            entries[self._next_id(record)] = entry
            self._note(record, (entry.file.root_id, entry.file.path))
        features = self._features(entries)
        for image_id, entry in entries.items():
            self._held.append(replace(entry, features=features.get(image_id)))
        if self._held_bytes >= COMMIT_BYTES:
            self._commit()

    def _next_id(self, record: ImageRecord) -> int:
        image_id: int = record["id"]
        if image_id <= self._last_id:
            raise ExportError("the ids of images do not ascend")
        self._last_id = image_id
        return image_id

    def _note(self, record: ImageRecord, key: _Key) -> None:
        """Keep the tags of an image, and what fields say of it, until all are committed."""
        if key in self._keys:
            raise ExportError(f"two images have the path {key[1]!r}")
        self._keys[key] = record["id"]
        for name, probability in record[TAGS].items():
            if name not in self._tags:
                raise ExportError(f"image {record['id']} has the tag {name!r}, which is no concept")
            self._tags[name][key] = probability
        for column, field in self._columns.items():
            if record.get(column):
                self._texts[field][key] = record[column]

    def _features(self, entries: Mapping[int, Entry]) -> dict[int, StoredFeatures]:
        """Return the vectors and boxes of those images that have some."""
        described = [i for i, e in entries.items() if not (e.reason or e.is_blank)]
        if described and not self._cursors:
            raise ExportError("it has no vectors")
        rows = {name: cursor.until(self._last_id) for name, cursor in self._cursors.items()}
        self._held_bytes += sum(own.byte_count for own in rows.values())
        self._require_matching(rows, described)
        parts = {name: [*split_by_image(own, described)] for name, own in rows.items()}
        boxes = parts.pop(REGIONS, None)
        found = {}
        for place, image_id in enumerate(described):
            own = np.empty((0, 4), np.int64) if boxes is None else boxes[place].values
            facts = entries[image_id].facts
            if facts is not None:
                _require_inside(own, facts, image_id)
            vectors = {name: of_kind[place].values for name, of_kind in parts.items()}
            found[image_id] = StoredFeatures(vectors, own)
        return found

    def _require_matching(self, rows: Mapping[str, Rows], described: Sequence[int]) -> None:
        """Raise `ExportError` where rows are not those of these images and of their regions."""
        wanted = np.array(described, np.int64)
        regions = rows.get(REGIONS)
        if regions is not None and not np.isin(regions.image_ids, wanted).all():
            raise ExportError("there are regions of images that have none")
        for kind in self._manifest.spec.kinds:
            own = rows.get(kind.name)
            if own is None:
                continue
            if kind.scope == "image" or regions is None:
                ids, image_ids = wanted, wanted
            else:
                ids, image_ids = regions.ids, regions.image_ids
            if not (np.array_equal(own.ids, ids) and np.array_equal(own.image_ids, image_ids)):
                raise ExportError(f"the ids of the {kind.name} vectors are not those of the images")

    def _commit(self) -> None:
        self._store.commit(self._held)
        self._held, self._held_bytes = [], 0

    def _add_user_data(self) -> None:
        ids = {key: known.id for key, known in self._store.known_files().items()}
        for name, json in self._manifest.concepts.items():
            save_concept(self._store, name, json)
        replace_tags(
            self._store, {n: {ids[k]: p for k, p in own.items()} for n, own in self._tags.items()}
        )
        if self._texts:
            texts = {n: {ids[k]: t for k, t in own.items()} for n, own in self._texts.items()}
            annotate(self._store, texts)
        self._add_decisions({self._keys[key]: image_id for key, image_id in ids.items()})

    def _add_decisions(self, ids: Mapping[int, int]) -> None:
        """Add the decisions about duplicates; `ids` are those in the store by those exported."""
        decided = {image_id for pair in self._manifest.decisions for image_id in pair}
        if not decided <= ids.keys():
            raise ExportError("it decides about images that it does not have")
        found = renumber(self._manifest.decisions, ids)
        with self._store.catalog.transaction() as change:
            set_decisions(change.connection, found)


def _require_inside(boxes: np.ndarray, facts: ImageFacts, image_id: int) -> None:
    """Raise `ExportError` for boxes (R, 4) that are empty, or not inside their image."""
    starts, ends = boxes[:, :2], boxes[:, 2:]
    good = (starts >= 0) & (starts < ends) & (ends <= (facts.width, facts.height))
    if not good.all():
        raise ExportError(f"image {image_id} has a region that is not inside it")
