"""What the commands that index share: Ctrl-C, and opening or creating the store."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.spec import FeatureSpec

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.choices import EngineName
    from indexer.features.extractor import FeatureExtractor
    from indexer.store.store import Store


@contextmanager
def catching_interrupts() -> Iterator[Callable[[], bool]]:
    """Yield what says whether there was a Ctrl-C.

    Python loses a KeyboardInterrupt that happens to be raised in a destructor or a callback.
    """
    interrupts: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield lambda: bool(interrupts)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def open_or_create(
    path: Path | None,
    backbone: str | None,
    choices: dict[str, Any],
    *,
    catalog: str | None = None,
    rebuild: bool = False,
) -> Iterator[Store]:
    """Open the store, whose spec must agree with the options, or create it.

    Its catalogue is in the database at the URL `catalog`, if any; one that is built again stays in
    its own. A new store that stays empty is deleted again.
    """
    from indexer.store.catalogs import catalog_url, require_same
    from indexer.store.layout import STORE_NAME
    from indexer.store.places import find_store, is_store
    from indexer.store.store import Store

    place = path or find_store() or Path(STORE_NAME)
    exists = is_store(place)
    if exists and rebuild:
        catalog = catalog or catalog_url(place)
        Store.delete(place)
        exists = False
    given = {name: value for name, value in choices.items() if value is not None}
    if not exists:
        spec = FeatureSpec.create(backbone or DEFAULT_BACKBONE, **given)
        made = Store.create(place, spec, catalog_url=catalog)
        try:
            yield made
        finally:
            made.close_or_discard()
        return
    if catalog is not None:
        require_same(place, catalog)
    opened = Store.open(place)
    if backbone is not None and backbone != opened.spec.backbone:
        asked = FeatureSpec.create(backbone, **given)
    else:
        asked = dataclasses.replace(opened.spec, **given)
    opened.spec.require_same(asked, where=str(place))
    yield opened


def extractor_loader(store: Store, engine: EngineName) -> Callable[[], FeatureExtractor]:
    """Return what loads the extractor of a store, once, when it is needed."""
    from functools import cache

    from indexer.features.extractor import FeatureExtractor

    @cache
    def load() -> FeatureExtractor:
        return FeatureExtractor(store.spec, engine=engine, adaptation=store.adaptation())

    return load
