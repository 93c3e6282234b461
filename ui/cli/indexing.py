"""What the commands that index share: Ctrl-C, the store, and options that are read."""

from __future__ import annotations

import dataclasses
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.spec import FeatureSpec

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.choices import EngineName
    from indexer.features.extractor import FeatureExtractor
    from indexer.shard import Shard
    from indexer.store.store import Store

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([MG])i?B?", re.IGNORECASE)
UNITS = {"M": 1 << 20, "G": 1 << 30}


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
    path: Path | None, backbone: str | None, choices: dict[str, Any], *, rebuild: bool = False
) -> Iterator[Store]:
    """Open the store, whose spec must agree with the options, or create it.

    A new store that stays empty is deleted again.
    """
    from indexer.store.layout import STORE_NAME
    from indexer.store.places import find_store, is_store
    from indexer.store.store import Store

    place = path or find_store() or Path(STORE_NAME)
    exists = is_store(place)
    if exists and rebuild:
        Store.delete(place)
        exists = False
    given = {name: value for name, value in choices.items() if value is not None}
    if not exists:
        spec = FeatureSpec.create(backbone or DEFAULT_BACKBONE, **given)
        made = Store.create(place, spec)
        try:
            yield made
        finally:
            made.close_or_discard()
        return
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


def read_numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    """Return numbers that are separated by commas; raises `typer.BadParameter`."""
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not a list like 0.7,0.5", param_hint=option
        ) from error


def read_bytes(text: str) -> int:
    """Return the bytes of a size like 500MB; raises `typer.BadParameter`."""
    found = SIZE.fullmatch(text.strip())
    if not found or not float(found[1]):
        raise typer.BadParameter(f"{text!r} is not a size like 500MB or 2GB", param_hint="--memory")
    return round(float(found[1]) * UNITS[found[2].upper()])


def read_shard(text: str) -> Shard:
    """Return the shard that a text like 3/16 names; raises `typer.BadParameter`."""
    from indexer.shard import Shard

    try:
        return Shard.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shard") from error
