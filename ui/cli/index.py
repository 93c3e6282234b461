"""`cbir index`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from indexer.choices import (
    DECODE_S,
    MAX_PIXELS,
    Damaged,
    IndexChoice,
    Oversize,
    PageChoice,
    Pooling,
    Scheme,
)
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.spec import FeatureSpec, read_choices
from indexer.sources.place import to_place
from ui.cli.indexing import (
    catching_interrupts,
    extractor_loader,
    open_or_create,
    read_bytes,
    read_numbers,
    reporting_stops,
    say_report,
)
from ui.cli.rebuilding import say_restored
from ui.cli.shell import DAMAGED_HELP, OVERSIZE_HELP, EngineOption, JsonOption, StoreOption, app
from ui.cli.workers import JoinOption, RayOption, ShardOption, extractor_on_ray, read_shard
from ui.cli.workers import join as join_into

DEFAULTS = FeatureSpec


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in values)


@app.command()
def index(
    context: typer.Context,
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders, searched recursively, or image files; also at s3://, gs:// and https:// "
            "URLs, and zip or tar archives by name.",
            show_default="all that the store knows",
        ),
    ] = None,
    store: StoreOption = None,
    catalog: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Keep the catalogue of a new store in PostgreSQL, at a URL such as "
            "postgresql://user:password@host/database; the store remembers it.",
            show_default="a file in the store",
        ),
    ] = None,
    vectors: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Keep the vectors of a new store in Milvus, at a URL such as "
            "milvus://user:password@host:19530/database, or milvus+tls://…; the store remembers "
            "it.",
            show_default="files in the store",
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="The network, see `cbir backbones`.", show_default=DEFAULT_BACKBONE),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(
            help="A JSON file with any of the choices below, as `cbir eval layers --spec` writes "
            "it; options given here override it.",
            show_default=False,
        ),
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
        float | None,
        typer.Option(
            min=0.001,
            help="Skip images with more pixels than this, see --oversize.",
            show_default=f"as before, or {MAX_PIXELS / 1e6:g}",
        ),
    ] = None,
    oversize: Annotated[
        Oversize | None,
        typer.Option(help=OVERSIZE_HELP, show_default="as before, or skip"),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            help="Skip files and folders whose name, or path below the folder, matches this glob "
            "(a path only, if it begins with /). '' forgets those of before.",
            show_default="as before, or none",
        ),
    ] = None,
    sniff: Annotated[
        bool | None,
        typer.Option(
            "--sniff/--no-sniff",
            help="Index files of other suffixes, too, that begin like images.",
            show_default="as before, or no",
        ),
    ] = None,
    pages: Annotated[
        PageChoice | None,
        typer.Option(
            help="Of a file with several pictures, such as a TIFF of many pages, index all, the "
            "first or the largest; auto is the first, or the largest where that is a thumbnail.",
            show_default="as before, or auto",
        ),
    ] = None,
    damaged: Annotated[
        Damaged | None,
        typer.Option(help=DAMAGED_HELP, show_default="as before, or skip"),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Memory for the photos that are decoded at the same time, such as 500MB or 2GB; "
            "that of the network comes on top. A photo that needs more is decoded alone.",
            show_default="a quarter of this machine's, from 512MB to 4GB",
        ),
    ] = None,
    time_limit: Annotated[
        float,
        typer.Option(
            min=0.1, help="Seconds that decoding may take; a file that needs more is reported."
        ),
    ] = DECODE_S,
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
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Read every file, to find changes that its date and size do not show."
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop at the first file or folder that cannot be read."),
    ] = False,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild",
            help="Delete the store and build it again, from PHOTOS or all that it held, with its "
            "settings where no option says otherwise. Fields, concepts and decisions stay.",
        ),
    ] = False,
    shard: ShardOption = None,
    join: JoinOption = False,
    ray: RayOption = None,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Index photos, or bring the index up to date: new, changed, moved and deleted files.

    Unchanged files are not read again. Ctrl-C is safe: run the same command to continue. How a
    folder is read is remembered with it; a .cbirignore in it, in the syntax of .gitignore, says
    what is left out. Archives that lie in a folder are passed over: name them, as in
    cbir index shards/*.tar.
    """
    if join:
        parts = None if photos is None else [Path(photo) for photo in photos]
        join_into(context, parts, store, catalog=catalog, vectors=vectors, as_json=as_json)
        return
    started = time.monotonic()
    from indexer.build import index_photos
    from indexer.run import BuildOptions
    from ui.process import configure_images
    from ui.progress import ConsoleProgress

    configure_images()
    given: dict[str, Any] = {
        "conv": conv,
        "fc": fc,
        "pooling": pooling,
        "gem_p": gem_p,
        "size_px": size,
        "regions": regions,
        "scales": read_numbers(scales, "--scales"),
        "aspects": read_numbers(aspects, "--aspects"),
        "overlap": overlap,
        "crop_px": crop_size,
    }
    choices = {} if spec is None else read_choices(spec)
    choices |= {name: value for name, value in given.items() if value is not None}
    chosen = choices.pop("backbone", None)
    network = backbone or chosen
    places = [to_place(photo) for photo in photos or ()]
    options = BuildOptions(
        max_pixels=None if max_megapixels is None else round(max_megapixels * 1e6),
        exclude=None if exclude is None else tuple(glob for glob in exclude if glob),
        sniff=sniff,
        pages=pages,
        damaged=damaged,
        oversize=oversize,
        shard=read_shard(shard),
        ray=ray,
        on_gpus=engine != "openvino",
        strict=strict,
        retry_failed=retry_failed,
        check=check,
        memory=None if memory is None else read_bytes(memory),
        time_limit_s=time_limit,
    )
    with (
        reporting_stops(),
        catching_interrupts() as interrupted,
        open_or_create(
            store,
            network,
            choices,
            catalog=catalog,
            vectors=vectors,
            rebuild=places if rebuild else None,
        ) as opened,
    ):
        if index_type is not None:
            opened.index_type = index_type
        if keypoints is not None:
            opened.keep_keypoints(keypoints)
        load_extractor = (extractor_on_ray if ray else extractor_loader)(opened, engine)
        with ConsoleProgress() as progress:
            report = index_photos(opened, places, load_extractor, options, progress, interrupted)
        report.elapsed_s = time.monotonic() - started  # with loading libraries and network
        say_report(report, opened, as_json=as_json)
        say_restored(opened)
