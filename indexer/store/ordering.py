"""Orders in which people look through all images of a store."""

from __future__ import annotations

import numpy as np
from sqlalchemy import select

from indexer.arrays import FloatArray, IdArray
from indexer.store.catalog.tables import ImageRow
from indexer.store.reader import StoreReader


def newest_first(store: StoreReader) -> IdArray:
    """Return the readable images (N,) by the date on which they were taken, the latest first.

    Those without a date come last; those of one date are sorted by folder and path.
    """
    order = (
        ImageRow.taken_at.is_(None),
        ImageRow.taken_at.desc(),
        ImageRow.root_id,
        ImageRow.path,
        ImageRow.id,
    )
    query = select(ImageRow.id).where(ImageRow.state == "ok").order_by(*order)
    with store.catalog.session() as session:
        return np.fromiter(session.scalars(query), np.int64)


def shapes_of(store: StoreReader, ids: IdArray) -> FloatArray:
    """Return width / height (N,) of readable images, in their order; 1 of those that are gone."""
    query = select(ImageRow.id, ImageRow.width, ImageRow.height)
    query = query.where(ImageRow.state == "ok", ImageRow.height > 0).order_by(ImageRow.id)
    with store.catalog.session() as session:
        known = np.array([tuple(row) for row in session.execute(query)], np.int64).reshape(-1, 3)
    shapes = np.ones(len(ids), np.float32)
    places = np.searchsorted(known[:, 0], ids)
    there = places < len(known)
    there[there] = known[places[there], 0] == ids[there]
    shapes[there] = known[places[there], 1] / known[places[there], 2]
    return shapes
