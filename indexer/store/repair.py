"""Taking what is damaged out of a store, so that the rest can be used and the photos read again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from indexer.progress import Progress, no_progress
from indexer.store.catalog.inspection import CatalogFaults
from indexer.store.catalog.repairs import (
    fail_images,
    forget_concepts,
    forget_fields,
    forget_images,
    forget_tags,
    forget_values,
)
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.catalog.transaction import CatalogTransaction
from indexer.store.store import Store, locked
from indexer.store.vectors.inspection import KindFaults

LOST = "its vectors were damaged; it is described again when its file is there"


def renew_state(path: Path) -> None:
    """Take the small tables of a catalogue as they are, under a new checksum.

    The store counts as somebody else's from then on, unless it is trusted. Raises
    `StoreCorruptError` where the tables hold what cbir never writes.
    """
    with locked(path) as database:
        catalog = SqlAlchemyCatalog(database)
        with catalog.transaction(repairs=True):
            pass
        catalog.state()


def take_out(
    store: Store,
    catalog: CatalogFaults,
    kinds: Sequence[KindFaults],
    *,
    all_again: bool = False,
    progress: Progress = no_progress,
) -> list[int]:
    """Take out all that is damaged, in one commit, and return the images to be described again.

    Those whose own rows are intact are failed images until then. Sound vectors of other images
    stay, unless `all_again` says that the whitening learned from the collection is lost, too.
    """
    broken = catalog.images.union(*(k.broken for k in kinds), *(k.missing for k in kinds))
    spec = store.spec
    if all_again:
        broken |= set(catalog.described.tolist())
        spec = replace(spec, adaptation="")
    with store.writing(), store.catalog.transaction(repairs=True) as change:
        change.set_spec(spec.to_json(), spec.fingerprint)
        for faults in kinds:
            _keep_sound(store, change, faults, broken, progress)
        again = sorted(broken - catalog.images)
        forget_images(change.connection, catalog.images)
        fail_images(change.connection, again, LOST)
        forget_tags(change.connection, catalog.tags)
        forget_concepts(change.connection, catalog.concepts)
        forget_values(change.connection, catalog.annotations)
        forget_fields(change.connection, catalog.fields)
    store.spec = spec
    return again


def set_catalog_aside(path: Path) -> None:
    """Rename a catalogue that cannot be read, so that another one can take its place."""
    with locked(path) as database:
        database.set_aside()


def _keep_sound(
    store: Store,
    change: CatalogTransaction,
    faults: KindFaults,
    broken: Collection[int],
    progress: Progress,
) -> None:
    """Write the vectors of a kind again without those of broken images, if there are any."""
    entries = [e for e in change.segments(faults.kind) if e.id not in faults.unreadable]
    change.drop_segments([e for e in change.segments(faults.kind) if e.id in faults.unreadable])
    gone = np.array([*broken, *change.removed_images().tolist()], np.int64)
    owners = [store.vectors.read(entry).image_ids.all() for entry in entries]
    keep = [~np.isin(images, gone) for images in owners]
    if faults.unreadable or faults.unchecked or not all(kept.all() for kept in keep):
        change.drop_ivf(faults.kind)
        store.vectors.write_as_one(change, entries, keep, None, progress)
    elif faults.ivf is not None:
        change.drop_ivf(faults.kind)
