"""Manifest: a labelled collection, its queries and their right answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from indexer.errors import CbirError, InvalidQueryError
from indexer.features.regions import Region
from indexer.sources.place import Place

SCHEMA = Path(__file__).with_name("manifest.schema.json")
ENTRY = re.compile(r"^(?!/)(?!([^\u0000]*/)?\.{0,2}(/|$))[^\u0000]+$")  # as in the schema
SHOWN = 160  # characters of what is wrong with a field


@dataclass(frozen=True)
class ManifestQuery:
    """A query; `positives` and `junk` are database entries (relative paths).

    `boxes` are the true boxes of its object, where they differ from those of the manifest.
    """

    id: str
    image: Path
    box: Region | None
    positives: frozenset[str]
    junk: frozenset[str]
    boxes: dict[str, list[Region]] | None = None


@dataclass(frozen=True)
class Manifest:
    """A labelled collection: `database` entries are paths relative to `folder`.

    `boxes` are the true boxes of the labelled object in the entries that have them. A benchmark
    with several sets of right answers is one manifest for each `protocol`, with the same queries in
    the same order. Query boxes that reach beyond their image are clipped if `clips_boxes`, and are
    errors of their query otherwise.
    """

    name: str
    folder: Path
    database: list[str]
    queries: list[ManifestQuery]
    boxes: dict[str, list[Region]]
    protocol: str | None = None
    clips_boxes: bool = False

    @classmethod
    def read(cls, path: Path, images: Path | None = None) -> Manifest:
        """Read a manifest; `images` stands for its folder where the images are elsewhere.

        Raises `InvalidQueryError`, naming the field, where it is not a manifest.
        """
        data = read_json(path)
        try:
            folder = (path.parent / data["images"] if images is None else images).resolve()
            queries = [_query(query, folder) for query in _typed(data["queries"], list)]
            database = _entries(data["database"])
            if not database:
                raise ValueError("the database is empty")
            manifest = cls(
                _typed(data["name"], str), folder, database, queries, _boxes(data.get("boxes", {}))
            )
        except (CbirError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = _find_fault(data) or f"{error!r}"
            raise InvalidQueryError(f"{path} is not a manifest: {reason}.") from error
        _require_distinct(path, queries)
        return manifest

    @cached_property
    def entries(self) -> frozenset[str]:
        """The database as a set."""
        return frozenset(self.database)

    def find_entry(self, path: Place) -> str | None:
        """Return the database entry that `path` ends with, the longest if several do, or None."""
        if path not in self._found:
            tails = ("/".join(path.parts[start:]) for start in range(len(path.parts)))
            self._found[path] = next((tail for tail in tails if tail in self.entries), None)
        return self._found[path]

    def unknown_positives(self) -> set[str]:
        """Return the positives that are not in the database, so that no search can find them."""
        return {e for query in self.queries for e in query.positives - self.entries}

    @cached_property
    def _found(self) -> dict[Place, str | None]:
        """Entries by path: every query of a large collection finds the same paths again."""
        return {}

    def every(self, step: int) -> Manifest:
        """Return the manifest with the first of every `step` queries."""
        return replace(self, queries=self.queries[::step])


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; raises `InvalidQueryError`."""
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise InvalidQueryError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidQueryError(f"{path} is not a manifest: not JSON ({error}).") from error


def _query(query: Any, folder: Path) -> ManifestQuery:
    box = query.get("box")
    return ManifestQuery(
        id=str(_typed(query["id"], str, int)),
        image=folder / _image(query["image"]),
        box=None if box is None else _box(box),
        positives=frozenset(_entries(query["positives"])),
        junk=frozenset(_entries(query.get("junk", []))),
        boxes=_boxes(query["boxes"]) if "boxes" in query else None,
    )


def _boxes(given: dict[str, list[list[int]]]) -> dict[str, list[Region]]:
    found = {entry: [_box(box) for box in boxes] for entry, boxes in given.items()}
    if not all(found.values()):
        raise ValueError("an entry of boxes has none")
    return found


def _box(given: Any) -> Region:
    if type(given) is not list or any(type(value) is not int for value in given):
        raise TypeError("a box needs four whole numbers")
    return Region(*given)


def _entries(given: Any) -> list[str]:
    entries: list[str] = _typed(given, list)
    if not all(type(entry) is str and ENTRY.match(entry) for entry in entries):
        raise TypeError("a list of paths is needed")
    return entries


def _image(given: Any) -> str:
    if not _typed(given, str) or "\0" in given:
        raise ValueError("an image needs a path")
    return str(given)


def _typed(given: Any, *kinds: type) -> Any:
    if type(given) not in kinds:
        raise TypeError(f"{given!r:.50} is not of the right type")
    return given


def _find_fault(data: Any) -> str | None:
    """Return the path of the first field that breaks the schema and what is wrong with it.

    Checking a large manifest against the schema takes seconds, so only faulty ones are.
    """
    from jsonschema import Draft202012Validator

    schema = json.loads(SCHEMA.read_text("utf-8"))
    for error in Draft202012Validator(schema).iter_errors(data):
        message = _shorten(error.message)
        if error.validator == "pattern":
            below = " below the folder of images" if error.validator_value == ENTRY.pattern else ""
            message = f"{_shorten(repr(error.instance))} is not a path{below}"
        return f"{error.json_path}: {message}"
    return _find_empty_box(data)


def _find_empty_box(data: dict[str, Any]) -> str | None:
    """Return the path of the first box without an area, which no schema can tell."""
    given = [(f"$.queries[{i}]", query) for i, query in enumerate(data["queries"])]
    for place, holder in [*given, ("$", data)]:
        boxes = {f"{place}.box": [holder["box"]]} if holder.get("box") else {}
        boxes |= {f"{place}.boxes[{e!r}]": found for e, found in holder.get("boxes", {}).items()}
        for where, found in boxes.items():
            for x0, y0, x1, y1 in found:
                if not (x0 < x1 and y0 < y1):
                    return f"{where}: the box {x0},{y0},{x1},{y1} needs X0 < X1 and Y0 < Y1"
    return None


def _shorten(message: str) -> str:
    return message if len(message) <= SHOWN else f"{message[:30]} … {message[30 - SHOWN :]}"


def _require_distinct(path: Path, queries: list[ManifestQuery]) -> None:
    seen: set[str] = set()
    for place, query in enumerate(queries):
        if query.id in seen:
            raise InvalidQueryError(
                f"{path} is not a manifest: $.queries[{place}].id: {query.id!r} occurs twice."
            )
        seen.add(query.id)
