"""Taking what is damaged out of a store, so that the rest can be used and the photos read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from indexer.progress import Progress, no_progress
from indexer.store.catalog.decision_rows import forget_decisions
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
from indexer.store.catalog.warning_rows import forget_warnings
from indexer.store.catalogs import locked
from indexer.store.store import Store
from indexer.store.vectors.faults import KindFaults

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
            store.vectors.take_out(change, faults, broken, progress)
        again = sorted(broken - catalog.images)
        forget_images(change.connection, catalog.images)
        fail_images(change.connection, again, LOST)
        forget_tags(change.connection, catalog.tags)
        forget_concepts(change.connection, catalog.concepts)
        forget_values(change.connection, catalog.annotations)
        forget_fields(change.connection, catalog.fields)
        forget_decisions(change.connection, catalog.decisions)
        forget_warnings(change.connection, sorted(catalog.warnings))
    store.spec = spec
    return again


def set_catalog_aside(path: Path) -> None:
    """Rename a catalogue that cannot be read, so that another one can take its place."""
    with locked(path) as database:
        database.set_aside()
