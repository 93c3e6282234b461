"""Labels as JSON, so that they outlive a session and can go along with the photos."""

from __future__ import annotations

import json
from pathlib import Path

from indexer.errors import InvalidLabelsError
from indexer.store.reading import StoreReader
from retrieval.concepts import Labels

FORMAT = "cbir labels 1"


def dump_labels(store: StoreReader, labels: Labels) -> str:
    """Return labels as JSON; images are named by their paths within their folders of photos."""
    infos = store.image_infos(labels)
    roots = list(store.roots().values())
    entries = [
        {"path": _relative(infos[image_id].path, roots), "match": match}
        for image_id, match in sorted(labels.items())
        if image_id in infos
    ]
    return json.dumps({"format": FORMAT, "labels": entries}, indent=1)


def load_labels(store: StoreReader, text: str | bytes) -> tuple[dict[int, bool], list[str]]:
    """Return the labels by image id, and the paths that the store does not know.

    Raises `InvalidLabelsError` for anything but what `dump_labels` writes.
    """
    try:
        read = json.loads(text)
        if read["format"] != FORMAT:
            raise ValueError(f"its format is {read['format']!r}, not {FORMAT!r}")
        entries = [(str(entry["path"]), entry["match"]) for entry in read["labels"]]
        if not all(isinstance(match, bool) for _, match in entries):
            raise ValueError("match must be true or false")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidLabelsError(
            f"This is not a file of labels ({error}). Save one on the Teach page, or with "
            "retrieval.labels.dump_labels."
        ) from error
    roots = list(store.roots().values())
    labels: dict[int, bool] = {}
    unknown: list[str] = []
    for path, match in entries:
        found = [info for root in roots if (info := store.find_image(root / path)) is not None]
        if found:
            labels[found[0].id] = match
        else:
            unknown.append(path)
    return labels, unknown


def _relative(path: Path, roots: list[Path]) -> str:
    root = max((r for r in roots if path.is_relative_to(r)), key=lambda r: len(r.parts))
    return path.relative_to(root).as_posix()
