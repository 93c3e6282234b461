"""UserData: what people said of images, and the file that keeps it while a store is built again."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from indexer.errors import StoreCorruptError, StoreError, UntrustedStoreError
from indexer.store.folder import open_folder
from indexer.store.layout import USER_DATA
from indexer.store.trust import is_seal_of, seal, trusts_all

KIND = "cbir user data 1"

Pair = tuple[int, int]
T = TypeVar("T")
Values = dict[str, dict[int, T]]


@dataclass(frozen=True)
class UserData:
    """Fields, concepts with their tags, and decisions about duplicates.

    `images` are paths or URLs with the SHA-256 of the bytes in hex; elsewhere an image is its
    number there. `fields` are texts by name and image, `concepts` JSON by name, `tags`
    probabilities by concept and image, and `decisions` verdicts by pairs, see `Decisions`.
    """

    images: tuple[tuple[str, str], ...] = ()
    fields: Values[str] = field(default_factory=dict)
    concepts: dict[str, str] = field(default_factory=dict)
    tags: Values[float] = field(default_factory=dict)
    decisions: dict[Pair, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return bool(any(self.fields.values()) or self.concepts or self.decisions)

    def joined(self, newer: UserData) -> UserData:
        """Return what both say; where they differ, what the `newer` says."""
        moved = newer.numbered(lambda number: number + len(self.images))
        return UserData(
            (*self.images, *newer.images),
            _join(self.fields, moved.fields),
            self.concepts | moved.concepts,
            _join(self.tags, moved.tags),
            self.decisions | moved.decisions,
        )

    def numbered(self, number: Callable[[int], int]) -> UserData:
        """Return the same of images that have other numbers."""
        return UserData(
            (),
            {n: {number(i): text for i, text in own.items()} for n, own in self.fields.items()},
            self.concepts,
            {n: {number(i): p for i, p in own.items()} for n, own in self.tags.items()},
            {(number(a), number(b)): verdict for (a, b), verdict in self.decisions.items()},
        )

    def to_json(self) -> str:
        """Return it as JSON, in which tables with numbers of images are lists of pairs."""
        return json.dumps(
            {
                "images": self.images,
                "fields": {name: [*own.items()] for name, own in self.fields.items()},
                "concepts": self.concepts,
                "tags": {name: [*own.items()] for name, own in self.tags.items()},
                "decisions": [(*pair, verdict) for pair, verdict in self.decisions.items()],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> UserData:
        """Read what `to_json` wrote; raises what wrong values raise."""
        values: dict[str, Any] = json.loads(text)
        found = cls(
            tuple((str(path), str(digest)) for path, digest in values["images"]),
            {name: {int(i): str(t) for i, t in own} for name, own in values["fields"].items()},
            {str(name): str(json) for name, json in values["concepts"].items()},
            {name: {int(i): float(p) for i, p in own} for name, own in values["tags"].items()},
            {(int(a), int(b)): str(verdict) for a, b, verdict in values["decisions"]},
        )
        numbers = itertools.chain(*found.fields.values(), *found.tags.values(), *found.decisions)
        if not all(0 <= number < len(found.images) for number in numbers):
            raise ValueError("it speaks of images that it does not name")
        return found


def read_user_data(store: Path) -> UserData | None:
    """Return what is kept in the folder of a store; None if nothing is.

    Raises `StoreError`, of these `UntrustedStoreError` where somebody else wrote it.
    """
    place = store / USER_DATA
    try:
        with open_folder(store.resolve()) as folder, folder.read(USER_DATA) as file:
            outer = json.loads(file.read())
        if outer["kind"] != KIND:
            raise ValueError(f"it is of the kind {outer['kind']!r}")
        text = str(outer["data"])
        data = UserData.from_json(text)
        is_own = is_seal_of(_checksum(text), outer["seal"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{place} cannot be read: {error.strerror}.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise StoreCorruptError(
            f"{place} is not what cbir wrote ({error}). It holds fields, concepts and decisions of "
            "the store before this one. Put a copy in its place, or move it away to go on without."
        ) from error
    if not (is_own or trusts_all()):
        raise UntrustedStoreError(
            f"Another account or machine wrote {place}. If you trust where it comes from, add "
            "--trust; else move it away to go on without."
        )
    return data


def write_user_data(store: Path, data: UserData) -> None:
    """Keep what people said in the folder of a store, in one step; raises `StoreError`."""
    text = data.to_json()
    outer = {"kind": KIND, "data": text, "seal": seal(_checksum(text))}
    try:
        with open_folder(store.resolve()) as folder:
            with folder.write(f"{USER_DATA}.part") as file:
                file.write(json.dumps(outer).encode())
                file.flush()
                os.fsync(file.fileno())
            folder.replace(f"{USER_DATA}.part", USER_DATA)
    except OSError as error:
        raise StoreError(
            f"What was said of photos cannot be kept in {store / USER_DATA}: {error.strerror}. "
            "Nothing was deleted."
        ) from error


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _join(one: Mapping[str, dict[int, T]], other: Mapping[str, dict[int, T]]) -> Values[T]:
    return {n: one.get(n, {}) | other.get(n, {}) for n in dict.fromkeys((*one, *other))}
