"""`cbir index`."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer.choices import MAX_PIXELS, IndexChoice, Pooling, Scheme
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.spec import FeatureSpec
from ui.cli.shell import DamagedOption, EngineOption, JsonOption, StoreOption, app

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.store.store import Store

DEFAULTS = FeatureSpec


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


@app.command()
def index(
    photos: Annotated[
        list[Path], typer.Argument(help="Folders, searched recursively, or image files.")
    ],
    store: StoreOption = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="The network, see `cbir backbones`.", show_default=DEFAULT_BACKBONE),
    ] = None,
    conv: Annotated[
        str | None, typer.Option(help="The conv tap.", show_default="the backbone's")
    ] = None,
    fc: Annotated[
        str | None, typer.Option(help="The fc tap.", show_default="the backbone's")
    ] = None,
    pooling: Annotated[
        Pooling | None,
        typer.Option(help="How conv maps become vectors.", show_default=DEFAULTS.pooling),
    ] = None,
    gem_p: Annotated[
        float | None, typer.Option(help="The exponent of GeM.", show_default=f"{DEFAULTS.gem_p:g}")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Photos enter the network at about SIZE × SIZE pixels, in their own shape.",
            show_default=str(DEFAULTS.size_px),
        ),
    ] = None,
    regions: Annotated[
        Scheme | None,
        typer.Option(
            help="Windows to describe: grid (on the maps of the one pass), sliding (one pass each; "
            "slower, sharper) or none.",
            show_default=DEFAULTS.regions,
        ),
    ] = None,
    scales: Annotated[
        str | None,
        typer.Option(
            help="Window sides as shares of the photo's.", show_default=_listed(DEFAULTS.scales)
        ),
    ] = None,
    aspects: Annotated[
        str | None,
        typer.Option(help="Window widths over heights.", show_default=_listed(DEFAULTS.aspects)),
    ] = None,
    overlap: Annotated[
        float | None,
        typer.Option(help="Least overlap of windows.", show_default=f"{DEFAULTS.overlap:g}"),
    ] = None,
    crop_size: Annotated[
        int | None,
        typer.Option(
            help="Input size of a window with --regions sliding.",
            show_default=str(DEFAULTS.crop_px),
        ),
    ] = None,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, help="Skip images with more pixels than this.")
    ] = MAX_PIXELS / 1e6,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Skip files and folders whose name or path matches this glob."),
    ] = None,
    sniff: Annotated[
        bool,
        typer.Option("--sniff", help="Index files of other suffixes, too, that begin like images."),
    ] = False,
    damaged: DamagedOption = "skip",
    index_type: Annotated[
        IndexChoice | None,
        typer.Option(
            "--index",
            help="How vectors are searched: exact, balanced (fast), compact (small) or auto, by "
            "their number.",
            show_default="auto",
        ),
    ] = None,
    keypoints: Annotated[
        bool | None,
        typer.Option(
            "--keypoints/--no-keypoints",
            help="Find the keypoints of every photo now, so that queries can prove their hits at "
            "once; about doubles the time.",
            show_default="as before, or no",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Retry files that could not be read before.")
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop at the first file or folder that cannot be read."),
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Delete the store first and start again; photos are kept."),
    ] = False,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Index photos, or bring the index up to date: new, changed, moved and deleted files.

    Unchanged files are not read again. Ctrl-C is safe: run the same command to continue.
    """
    started = time.monotonic()
    from indexer.build import BuildOptions, IndexingStopped, IndexReport, index_photos
    from indexer.features.extractor import FeatureExtractor
    from ui.process import configure_images
    from ui.progress import ConsoleProgress
    from ui.reports import report_as_dict, report_as_text

    configure_images()
    choices: dict[str, Any] = {
        "conv": conv,
        "fc": fc,
        "pooling": pooling,
        "gem_p": gem_p,
        "size_px": size,
        "regions": regions,
        "scales": _numbers(scales, "--scales"),
        "aspects": _numbers(aspects, "--aspects"),
        "overlap": overlap,
        "crop_px": crop_size,
    }
    options = BuildOptions(
        max_pixels=round(max_megapixels * 1e6),
        exclude=tuple(exclude or ()),
        sniff=sniff,
        damaged=damaged,
        strict=strict,
        retry_failed=retry_failed,
    )
    try:
        with (
            _catching_interrupts() as interrupted,
            _open_or_create(store, backbone, choices, rebuild) as opened,
        ):
            if index_type is not None:
                opened.index_type = index_type
            if keypoints is not None:
                opened.keep_keypoints(keypoints)

            def load_extractor() -> FeatureExtractor:
                return FeatureExtractor(opened.spec, engine=engine, adaptation=opened.adaptation())

            with ConsoleProgress() as progress:
                report = index_photos(
                    opened, photos, load_extractor, options, progress, interrupted
                )
            report.elapsed_s = time.monotonic() - started  # with loading libraries and network
            text = json.dumps(report_as_dict(report)) if as_json else report_as_text(report, opened)
            typer.echo(text)
    except KeyboardInterrupt as stop:
        told = stop.report if isinstance(stop, IndexingStopped) else IndexReport()
        done = told.added + told.updated
        typer.echo(f"Stopped. {done} images are safe; run it again to continue.", err=True)
        raise typer.Exit(130) from stop


@contextmanager
def _catching_interrupts() -> Iterator[Callable[[], bool]]:
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
def _open_or_create(
    path: Path | None, backbone: str | None, choices: dict[str, Any], rebuild: bool
) -> Iterator[Store]:
    """Open the store, whose spec must agree with the options, or create it.

    A new store that stays empty is deleted again.
    """
    import dataclasses

    from indexer.store.layout import CATALOG, STORE_NAME
    from indexer.store.reader import find_store
    from indexer.store.store import Store

    place = path or find_store() or Path(STORE_NAME)
    exists = (place / CATALOG).is_file()
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


def _numbers(text: str | None, option: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not a list like 0.7,0.5", param_hint=option
        ) from error
