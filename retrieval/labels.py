"""Labels as JSON, so that they outlive a session and can go along with the photos."""

from __future__ import annotations

import json
import os
from pathlib import Path

from indexer.errors import InvalidLabelsError
from indexer.sources.place import Place, is_below, path_below
from indexer.store.places import resolve_root
from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo
from retrieval.relevance_feedback import Labels

FORMAT = "cbir labels 1"


def dump_labels(store: StoreReader, labels: Labels) -> str:
    """Return labels as JSON, with paths relative to the folder that holds the store.

    So they can move together; images elsewhere have their full path.
    """
    infos = store.image_infos(labels)
    entries = [
        {"path": _name(infos[image_id].path, store.path.parent), "match": match}
        for image_id, match in sorted(labels.items())
        if image_id in infos
    ]
    return json.dumps({"format": FORMAT, "labels": entries}, indent=1)


def load_labels(store: StoreReader, text: str | bytes) -> tuple[dict[int, bool], list[str]]:
    """Return the labels by image id, and the paths that are not in the store.

    Raises `InvalidLabelsError` for anything but what `dump_labels` writes.
    """
    try:
        read = json.loads(text)
        if read["format"] != FORMAT:
            raise ValueError(f"its format is {read['format']!r}, not {FORMAT!r}")
        if not isinstance(read["labels"], list):
            raise ValueError("labels must be a list")
        entries = [(entry["path"], entry["match"]) for entry in read["labels"]]
        if not all(isinstance(path, str) and isinstance(match, bool) for path, match in entries):
            raise ValueError("path must be text, and match true or false")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidLabelsError(
            f"The labels file is not valid ({error}). Save one on the Teach page, or with "
            f"{__name__}.dump_labels."
        ) from error
    labels: dict[int, bool] = {}
    unknown: list[str] = []
    for path, match in entries:
        info = _find(store, path)
        if info is None:
            unknown.append(path)
        else:
            labels[info.id] = match
    return labels, unknown


def _find(store: StoreReader, path: str) -> ImageInfo | None:
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return None  # no file can have that name
    return None if "\0" in path else store.find_image(resolve_root(store.path, path))


def _name(path: Place, home: Path) -> str:
    return path_below(home, path) if is_below(path, home) else path.as_posix()
