"""Orders in which people look through all images of a store."""

from __future__ import annotations

import numpy as np
from sqlalchemy import select

from indexer.arrays import IdArray
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
