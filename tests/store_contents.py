"""All that a store holds, to compare two of them bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from indexer.store.store import Store

IMAGES = (
    "SELECT i.id, r.path, i.path, size_bytes, mtime_ns, hex(content_hash), state, reason, width, "
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
    vectors = {}
    for kind in store.spec.kinds:
        index = store.vector_index(kind)
        places, ids, rows = index.rows_of_images(known)
        assert len(index) == len(ids)
        order = np.argsort(ids)
        owners = known[places[order]].tolist()
        vectors[kind.name] = (ids[order].tolist(), owners, rows[order].tobytes())
    return {"images": images, "regions": regions, "vectors": vectors}
