"""Manifest: a labelled collection, its queries and their right answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from indexer.errors import InvalidQueryError
from indexer.features.regions import Region


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

    `boxes` are the true boxes of the labelled object in the entries that have them.
    """

    name: str
    folder: Path
    database: list[str]
    queries: list[ManifestQuery]
    boxes: dict[str, list[Region]]

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest; raises `InvalidQueryError` where it is not one."""
        try:
            data = json.loads(path.read_text("utf-8"))
            folder = (path.parent / data["images"]).resolve()
            queries = [
                ManifestQuery(
                    id=str(query["id"]),
                    image=folder / query["image"],
                    box=Region(*query["box"]) if query.get("box") else None,
                    positives=frozenset(query["positives"]),
                    junk=frozenset(query.get("junk", ())),
                    boxes=_boxes(query["boxes"]) if "boxes" in query else None,
                )
                for query in data["queries"]
            ]
            boxes = _boxes(data.get("boxes", {}))
            return cls(str(data["name"]), folder, list(data["database"]), queries, boxes)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidQueryError(f"{path} is not a manifest: {error!r}.") from error


def _boxes(given: dict[str, list[list[int]]]) -> dict[str, list[Region]]:
    return {entry: [Region(*box) for box in found] for entry, found in given.items()}
