"""Kept local features: one file an image, found once and deleted with the image."""

from __future__ import annotations

import struct

import numpy as np

from indexer.features.local import LocalFeatures
from indexer.store.layout import KEYPOINTS
from indexer.store.reader import StoreReader

# A header, then the rows. Not NumPy's own format: CPython 3.11 fails to parse its header at times
# where several threads do so at once.
_MAGIC = b"cbir-kp1"
_HEADER = struct.Struct("<8sQ")  # and the number of rows
_POINT = np.dtype([("point", "<f4", 4), ("descriptor", "u1", 128)])


def read_local_features(
    store: StoreReader, image_id: int, size: tuple[int, int]
) -> LocalFeatures | None:
    """Return the kept features of an image of (width, height) `size`.

    Returns None where there are none, or where their file is damaged: they can be found again.
    """
    try:
        data = store.derived.read(KEYPOINTS, image_id) or b""
        magic, count = _HEADER.unpack_from(data)
    except struct.error:
        return None
    if magic != _MAGIC or len(data) != _HEADER.size + count * _POINT.itemsize:
        return None
    rows = np.frombuffer(data, _POINT, offset=_HEADER.size)
    return LocalFeatures(
        np.ascontiguousarray(rows["point"]), np.ascontiguousarray(rows["descriptor"]), size
    )


def keep_local_features(store: StoreReader, image_id: int, features: LocalFeatures) -> bool:
    """Write the features of an image; return whether that worked: a store may be read-only."""
    rows = np.empty(len(features), _POINT)
    rows["point"], rows["descriptor"] = features.points, features.descriptors
    data = _HEADER.pack(_MAGIC, len(rows)) + rows.tobytes()
    return store.derived.write(KEYPOINTS, data, image_id)


def has_local_features(store: StoreReader, image_id: int) -> bool:
    """Whether the features of an image are kept."""
    return store.derived.exists(KEYPOINTS, image_id)
