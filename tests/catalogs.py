"""What tests ask of a catalogue."""

from __future__ import annotations

from indexer.store.catalog.protocol import Catalog


def roots_of(catalog: Catalog) -> dict[int, str]:
    """The folders of photos by id."""
    return {id_: root.path for id_, root in catalog.state().roots.items()}
