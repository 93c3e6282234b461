"""What the commands that index share: Ctrl-C, the store, the report, and reading options."""

from __future__ import annotations

import dataclasses
import json
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
from ui.cli.shell import say

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.choices import EngineName
    from indexer.features.extractor import FeatureExtractor
    from indexer.run import IndexReport
    from indexer.sources.place import Place
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
def reporting_stops() -> Iterator[None]:
    """Report on Ctrl-C how many images are safe, and end with the exit code for that."""
    from indexer.run import IndexingStopped, IndexReport

    try:
        yield
    except KeyboardInterrupt as stop:
        told = stop.report if isinstance(stop, IndexingStopped) else IndexReport()
        done = told.added + told.updated
        say(f"Stopped. {done} images are safe; run it again to continue.", err=True)
        raise typer.Exit(130) from stop


def say_report(report: IndexReport, store: Store, *, as_json: bool) -> None:
    """Print the report of a run."""
    from ui.reports import report_as_dict, report_as_text

    text = json.dumps(report_as_dict(report)) if as_json else report_as_text(report, store)
    say(*text.split("\n"))


@contextmanager
def open_or_create(
    path: Path | None,
    backbone: str | None,
    choices: dict[str, Any],
    *,
    catalog: str | None = None,
    vectors: str | None = None,
    rebuild: list[Place] | None = None,
) -> Iterator[Store]:
    """Open the store, whose spec must agree with the options, or create it.

    Its catalogue is in the database at the URL `catalog`, and its vectors on the server at the URL
    `vectors`, if any; one that is built again stays in its own. It is built again from the places
    `rebuild`, to which all that it held is added if there are none. A new store that stays empty
    is deleted again.
    """
    from indexer.store.catalogs import require_same
    from indexer.store.layout import STORE_NAME
    from indexer.store.places import find_store, is_store
    from indexer.store.store import Store
    from ui.cli.rebuilding import built_again

    place = path or find_store() or Path(STORE_NAME)
    given = {name: value for name, value in choices.items() if value is not None}
    if is_store(place) and rebuild is not None:
        with built_again(place, rebuild, backbone, given, catalog, vectors) as again:
            yield again
        return
    if not is_store(place):
        spec = FeatureSpec.create(backbone or DEFAULT_BACKBONE, **given)
        made = Store.create(place, spec, catalog_url=catalog, vectors_url=vectors)
        try:
            yield made
        finally:
            made.close_or_discard()
        return
    require_same(place, catalog, vectors)
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
