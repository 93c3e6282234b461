"""Carrying over what people said of images when a store is built again."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexer.errors import StoreCorruptError, StoreError
from indexer.store.annotations import annotate, read_annotations
from indexer.store.catalog.decision_rows import set_decisions
from indexer.store.decisions import read_decisions, renumber
from indexer.store.folder import open_folder
from indexer.store.layout import USER_DATA
from indexer.store.reader import StoreReader
from indexer.store.store import Store
from indexer.store.tags import read_concepts, read_tags, replace_tags, save_concept
from indexer.store.user_data import UserData, read_user_data, write_user_data


@dataclass(frozen=True)
class Restored:
    """What was taken over into a store, and what is `left` for when its images, or concepts, fit.

    `fields` counts the images of which fields say something, `decisions` pairs of images.
    """

    fields: int
    concepts: tuple[str, ...]
    decisions: int
    left: UserData


def keep_user_data(place: Path) -> list[str]:
    """Write what people said of the images of the store at `place` to a file that outlives it.

    Returns what cannot be read because the store is damaged. Raises `StoreError` where the file
    cannot be written, or an earlier one not be read.
    """
    lost: list[str] = []
    found = read_user_data(place) or UserData()
    try:
        with contextlib.closing(Store.open(place)) as store:
            found = found.joined(_read_store(store, lost))
    except StoreError:
        lost = ["what was said of its photos"]
    if found:
        write_user_data(place, found)
    return lost


def restore_user_data(store: Store) -> Restored | None:
    """Take over into a store what was kept of the one before it; None if nothing was.

    An image is known by the bytes of its file, of several by the end of its path; fields also go
    with a path whose file has changed. What the store says itself stays. What fits nothing yet
    stays in the file. Raises `StoreCorruptError` and `UntrustedStoreError` for the file, and
    `StoreLockedError`.
    """
    data = read_user_data(store.path)
    if data is None:
        return None
    with store.writing():
        restored = _Restoring(store, data).run()
        if restored.left:
            write_user_data(store.path, restored.left)
        else:
            with open_folder(store.path) as folder:
                folder.delete(USER_DATA)
    return restored


class _Restoring:
    """Taking over what was kept."""

    def __init__(self, store: Store, data: UserData) -> None:
        self._store, self._data = store, data
        self._same, self._changed = _find_images(store, data.images)

    def run(self) -> Restored:
        """Write everything that fits into the store."""
        fields = self._restore_fields()
        concepts = self._restore_concepts()
        decisions = self._restore_decisions()
        return Restored(fields, concepts, decisions, self._left())

    def _restore_fields(self) -> int:
        ids = self._changed | self._same
        said = read_annotations(self._store)
        table = {
            name: {
                ids[number]: text
                for number, text in own.items()
                if number in ids and ids[number] not in said.get(name, {})
            }
            for name, own in self._data.fields.items()
        }
        annotate(self._store, {name: texts for name, texts in table.items() if texts})
        return len({image_id for texts in table.values() for image_id in texts})

    def _restore_concepts(self) -> tuple[str, ...]:
        known = read_concepts(self._store)
        fitting = {
            name: concept
            for name, concept in self._data.concepts.items()
            if name not in known and self._fits(concept)
        }
        for name, concept in fitting.items():
            save_concept(self._store, name, concept)
        tags = {
            name: {self._same[i]: p for i, p in own.items() if i in self._same}
            for name, own in self._data.tags.items()
            if name in fitting
        }
        replace_tags(self._store, tags)
        return tuple(fitting)

    def _fits(self, concept: str) -> bool:
        try:
            fingerprint = json.loads(concept)["fingerprint"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return False
        return bool(fingerprint == self._store.spec.image_fingerprint)

    def _restore_decisions(self) -> int:
        known = read_decisions(self._store).verdicts
        taken = {*known, *((second, first) for first, second in known)}
        found = renumber(self._data.decisions, self._same)
        new = {pair: verdict for pair, verdict in found.items() if pair not in taken}
        with self._store.catalog.transaction() as change:
            set_decisions(change.connection, new)
        return len(new)

    def _left(self) -> UserData:
        """Return what is said of images that are not there, and concepts of other networks."""
        known = read_concepts(self._store)
        concepts = {n: json for n, json in self._data.concepts.items() if n not in known}
        fields = {
            name: {i: t for i, t in own.items() if i not in self._same and i not in self._changed}
            for name, own in self._data.fields.items()
        }
        return UserData(
            self._data.images,
            {name: own for name, own in fields.items() if own},
            concepts,
            {name: own for name, own in self._data.tags.items() if name in concepts},
            {
                pair: verdict
                for pair, verdict in self._data.decisions.items()
                if not self._same.keys() >= {*pair}
            },
        )


def _read_store(store: Store, lost: list[str]) -> UserData:
    """Return what a store says; the names of what is damaged are added to `lost`."""

    def read(name: str, function: Callable[[StoreReader], dict[Any, Any]]) -> dict[Any, Any]:
        try:
            return function(store)
        except StoreCorruptError:
            lost.append(name)
            return {}

    found = UserData(
        (),
        read("fields", read_annotations),
        read("concepts", read_concepts),
        read("tags", read_tags),
        read("decisions about duplicates", lambda store: read_decisions(store).verdicts),
    )
    ids = {*itertools.chain(*found.fields.values(), *found.tags.values(), *found.decisions)}
    roots = store.roots()
    rows = [row for row in store.known_files().values() if row.id in ids]
    numbers = {row.id: number for number, row in enumerate(rows)}
    images = tuple(
        (str(roots[row.file.root_id] / row.file.path), row.file.content_hash.hex()) for row in rows
    )
    return dataclasses.replace(found.numbered(numbers.__getitem__), images=images)


def _find_images(
    store: Store, images: Iterable[tuple[str, str]]
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the ids of images by their numbers: those with the same bytes, and changed ones."""
    roots = store.roots()
    places: dict[str, int] = {}
    by_content: dict[str, list[str]] = {}
    for row in store.known_files().values():
        place = str(roots[row.file.root_id] / row.file.path)
        places[place] = row.id
        by_content.setdefault(row.file.content_hash.hex(), []).append(place)
    same, changed = {}, {}
    for number, (path, digest) in enumerate(images):
        candidates = by_content.get(digest, []) if digest else []
        if candidates:
            same[number] = places[max(candidates, key=lambda other: _common_end(other, path))]
        elif path in places:
            changed[number] = places[path]
    return same, changed


def _common_end(one: str, other: str) -> int:
    """Return how many parts, from the last one on, two paths have in common."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
