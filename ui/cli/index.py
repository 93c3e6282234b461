"""`cbir index`."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ui.cli.shell import EngineOption, JsonOption, StoreOption, app, engine_name

if TYPE_CHECKING:
    from indexer.build import Builder
    from indexer.store.store import Store


@app.command()
def index(
    photos: Annotated[
        list[Path], typer.Argument(help="Folders, searched recursively, or image files.")
    ],
    store: StoreOption = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="The network, see `cbir backbones`.", show_default="efficientnet_lite0"),
    ] = None,
    conv: Annotated[
        str | None, typer.Option(help="The conv tap.", show_default="the backbone's")
    ] = None,
    fc: Annotated[
        str | None, typer.Option(help="The fc tap.", show_default="the backbone's")
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(
            help="How conv maps become vectors: spoc, mac, gem or rmac.", show_default="rmac"
        ),
    ] = None,
    gem_p: Annotated[
        float | None, typer.Option(help="The exponent of GeM.", show_default="3.0")
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            help="Photos enter the network at about SIZE × SIZE pixels, in their own shape.",
            show_default="320",
        ),
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            help="Windows to describe: grid (on the maps of the one pass), sliding (one pass each; "
            "slower, sharper) or none.",
            show_default="grid",
        ),
    ] = None,
    scales: Annotated[
        str | None,
        typer.Option(help="Window sides as shares of the photo's.", show_default="0.7,0.47,0.31"),
    ] = None,
    aspects: Annotated[
        str | None, typer.Option(help="Window widths over heights.", show_default="1")
    ] = None,
    overlap: Annotated[
        float | None, typer.Option(help="Least overlap of windows.", show_default="0.45")
    ] = None,
    crop_size: Annotated[
        int | None,
        typer.Option(help="Input size of a window with --regions sliding.", show_default="160"),
    ] = None,
    max_megapixels: Annotated[
        float, typer.Option(min=0.001, help="Skip images with more pixels than this.")
    ] = 200.0,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Skip files and folders whose name or path matches this glob."),
    ] = None,
    index_form: Annotated[
        str | None,
        typer.Option(
            "--index",
            help="How vectors are searched: exact, balanced (fast), compact (small) or auto, by "
            "their number.",
            show_default="auto",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try files again that could not be read before.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first image that cannot be read.")
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Delete the store first and start anew; photos are kept."),
    ] = False,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Index photos, or bring the index up to date: new, changed, moved and deleted files.

    Unchanged files are not read again. Ctrl-C is safe: run the same command to go on.
    """
    from indexer.build import Builder, BuildOptions
    from indexer.features.extractor import FeatureExtractor
    from indexer.optimize import keep_up
    from ui.progress import IndexProgress

    if index_form not in (None, "auto", "exact", "balanced", "compact"):
        raise typer.BadParameter(
            f"{index_form!r} is not auto, exact, balanced or compact", param_hint="--index"
        )
    chosen_engine = engine_name(engine)
    choices: dict[str, Any] = {
        "conv": conv,
        "fc": fc,
        "pooling": pooling,
        "gem_p": gem_p,
        "size_px": size,
    }
    choices |= {"regions": regions, "overlap": overlap, "crop_px": crop_size}
    choices |= {"scales": _numbers(scales, "--scales"), "aspects": _numbers(aspects, "--aspects")}
    options = BuildOptions(
        max_pixels=round(max_megapixels * 1e6),
        exclude=tuple(exclude or ()),
        strict=strict,
        retry_failed=retry_failed,
    )
    with (
        _open_or_create(store, backbone, choices, rebuild) as opened,
        IndexProgress() as progress,
    ):
        builder = Builder(
            opened,
            lambda: FeatureExtractor(
                opened.spec, engine=chosen_engine, adaptation=opened.adaptation()
            ),
            options,
            progress,
        )
        if index_form is not None:
            opened.index_form = index_form
        try:
            with _interrupting(builder):
                report = builder.run(photos)
            keep_up(opened, progress.tell)
        except KeyboardInterrupt as stop:
            progress.stop()
            done = builder.report.added + builder.report.updated
            typer.echo(f"Stopped. {done} images are safe; run it again to go on.", err=True)
            raise typer.Exit(130) from stop
        from ui.reports import report_as_dict, report_as_text

        text = json.dumps(report_as_dict(report)) if as_json else report_as_text(report, opened)
        progress.stop()
        typer.echo(text)


@contextmanager
def _interrupting(builder: Builder) -> Iterator[None]:
    """Tell the builder of a Ctrl-C too.

    Python loses a KeyboardInterrupt that happens to be raised in a destructor or a callback.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        builder.interrupted = True
        signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _open_or_create(
    path: Path | None, backbone: str | None, choices: dict[str, Any], rebuild: bool
) -> Iterator[Store]:
    """Open the store, whose spec must agree with what is asked for, or create it.

    A new store that nothing came into is taken away again, so that a failed first attempt does
    not bind the next one to its options.
    """
    import dataclasses

    from indexer.features.spec import FeatureSpec
    from indexer.store.reading import STORE_NAME, find_store
    from indexer.store.store import Store

    place = path or find_store() or Path(STORE_NAME)
    exists = (place / "catalog.sqlite").is_file()
    if exists and rebuild:
        Store.delete(place)
        exists = False
    given = {name: value for name, value in choices.items() if value is not None}
    if not exists:
        spec = FeatureSpec.create(backbone or FeatureSpec.backbone, **given)
        made = Store.create(place, spec)
        try:
            yield made
        finally:
            unused = made.is_empty()
            made.close()
            if unused:
                Store.delete(place)
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
        raise typer.BadParameter(f"{text!r} is no list like 0.7,0.5", param_hint=option) from error
