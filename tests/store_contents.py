"""All that a store holds, to compare two of them bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from indexer.store.annotations import read_annotations
from indexer.store.decisions import KEEP, read_decisions
from indexer.store.store import Store
from indexer.store.tags import read_tags

IMAGES = (
    "SELECT i.id, r.path, i.path, size_bytes, mtime_ns, content_hash, state, reason, width, "
    "height, format, taken_at, camera, ctime_ns, inode, pages FROM images i JOIN roots r "
    "ON r.id = i.root_id ORDER BY i.id"
)
REGIONS = "SELECT id, image_id, x0, y0, x1, y1 FROM regions ORDER BY id"


def everything_in(store: Store) -> dict[str, Any]:
    """Return the rows of images and regions, and the vectors of live images with their ids."""
    with store.catalog.moment() as ask:
        images = [tuple(row) for row in ask(IMAGES, ())]
        regions = [tuple(row) for row in ask(REGIONS, ())]
    known = np.array([image[0] for image in images], np.int64)
    vectors: dict[str, tuple[list[int], list[int], bytes]] = {}
    for kind in store.spec.kinds:
        index = store.vectors.open_index(kind.name)
        if index is None:
            vectors[kind.name] = ([], [], b"")
            continue
        places, ids, rows = index.rows_of_images(known)
        assert len(index) == len(ids)
        order = np.argsort(ids)
        owners = known[places[order]].tolist()
        vectors[kind.name] = (ids[order].tolist(), owners, rows[order].tobytes())
    return {"images": images, "regions": regions, "vectors": vectors}


def by_path(store: Store) -> dict[object, tuple[Any, ...]]:
    """Return what a store holds by path, without ids."""
    held = everything_in(store)
    tags, texts = read_tags(store), read_annotations(store)
    places = {image_id: tuple(row[:2]) for image_id, *row in held["images"]}
    decided: dict[int, set[object]] = {}
    for (first, second), verdict in read_decisions(store).verdicts.items():
        other = verdict if verdict == KEEP else "original"
        decided.setdefault(first, set()).add((places[second], other))
        decided.setdefault(second, set()).add((places[first], verdict))
    noted = store.catalog.entries([image[0] for image in held["images"]])
    found: dict[object, tuple[Any, ...]] = {}
    for image_id, *row in held["images"]:
        boxes = [region[2:] for region in held["regions"] if region[1] == image_id]
        vectors = {}
        for kind, (_, owners, data) in held["vectors"].items():
            table = np.frombuffer(data, np.float32).reshape(max(1, len(owners)), -1)[: len(owners)]
            vectors[kind] = table[np.array(owners, int) == image_id].tobytes()
        said: list[Any] = [
            {name: values[image_id] for name, values in of_image.items() if image_id in values}
            for of_image in (tags, texts)
        ]
        said.append(noted[image_id].warnings)
        found[*row[:2]] = (row, boxes, vectors, said, decided.get(image_id, set()))
    return found
