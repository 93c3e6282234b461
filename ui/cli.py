"""The command line, `cbir`; each command loads what it needs when it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from indexer.errors import CbirError, InvalidQueryError

if TYPE_CHECKING:
    from indexer.store.store import Store
    from retrieval.engine import SearchEngine
    from retrieval.query import Hit, Query


class ErrorReportingGroup(TyperGroup):
    """Turns every `CbirError` into one line on stderr and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except CbirError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(1) from error


app = typer.Typer(
    cls=ErrorReportingGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Find where you have seen an image, or a part of it, before: on your own machine.",
    epilog="Start with: cbir index PHOTOS, then: cbir query IMAGE",
)

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="The store's folder; else CBIR_STORE, else .cbir here or in a folder above.",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object a line on stdout, and nothing else.")
]
EngineOption = Annotated[
    str, typer.Option("--engine", help="What runs the network: auto, openvino or torch.")
]


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
    chosen_engine = _engine_name(engine)
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
            report = builder.run(photos)
            keep_up(opened, progress.tell)
        except KeyboardInterrupt as stop:
            progress.stop()
            done = builder.report.added + builder.report.updated
            typer.echo(f"Stopped. {done} images are safe; run it again to go on.", err=True)
            raise typer.Exit(130) from stop
        from ui.render import report_as_dict, report_as_text

        text = json.dumps(report_as_dict(report)) if as_json else report_as_text(report, opened)
        progress.stop()
        typer.echo(text)


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
    from indexer.store.store import STORE_NAME, Store, find_store

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


def _engine_name(name: str) -> Any:
    if name not in ("auto", "openvino", "torch"):
        raise typer.BadParameter(f"{name!r} is not auto, openvino or torch", param_hint="--engine")
    return name


@app.command()
def query(
    image: Annotated[
        Path | None, typer.Argument(help="The query image, in the index or not.")
    ] = None,
    store: StoreOption = None,
    k: Annotated[int, typer.Option("-k", min=0, help="How many hits at most; 0 for all.")] = 10,
    feature: Annotated[
        str, typer.Option(help="Compare conv (appearance) or fc (kind of content) features.")
    ] = "conv",
    box: Annotated[
        str | None,
        typer.Option(help="Query with this box X0,Y0,X1,Y1 of the upright image, in pixels."),
    ] = None,
    context: Annotated[
        float, typer.Option(min=0, max=10, help="Pad the box on each side by this share of it.")
    ] = 0.0,
    search: Annotated[
        str | None,
        typer.Option(
            help="Compare with whole images (image), or with all their regions (region).",
            show_default="region for a box, image for a whole picture",
        ),
    ] = None,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Examine the best regions finely; slower, sharper.")
    ] = False,
    candidates: Annotated[
        int, typer.Option(min=1, help="How many images --rerank examines.")
    ] = 100,
    batch: Annotated[
        Path | None,
        typer.Option(help="Answer many: a file of JSON lines with id, image and box (or null)."),
    ] = None,
    as_json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the hits as CSV.")] = False,
    montage: Annotated[
        Path | None, typer.Option(help="Write query and hits as one contact sheet (.jpg, .png).")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write query and hits as one self-contained page.")
    ] = None,
    engine: EngineOption = "auto",
) -> None:
    """Find the images nearest to an image, or to a box in it."""
    from retrieval.engine import SearchEngine

    if (image is None) == (batch is None):
        raise typer.BadParameter("give either an image or --batch FILE")
    if batch and (montage or html or box):
        raise typer.BadParameter("--montage, --html and --box go with a single image, not --batch")
    if feature not in ("conv", "fc"):
        raise typer.BadParameter(f"{feature!r} is not conv or fc", param_hint="--feature")
    if montage and montage.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp"):
        raise typer.BadParameter(
            f"{montage} must end in .jpg, .png or .webp", param_hint="--montage"
        )
    if search not in (None, "image", "region"):
        raise typer.BadParameter(f"{search!r} is not image or region", param_hint="--search")
    searcher = SearchEngine.open(store, engine=_engine_name(engine))
    settings = {
        "feature": feature,
        "k": k or None,
        "context": context,
        "search": search,
        "rerank": rerank,
        "candidates": candidates,
    }
    if batch:
        _answer_batch(searcher, batch, settings, csv)
        return
    import time

    started = time.perf_counter()
    asked = _make_query(searcher, {"image": str(image), "box": box}, settings)
    hits = searcher.search(asked)
    elapsed_s = time.perf_counter() - started
    _show(asked, hits, elapsed_s, as_json=as_json, csv=csv)
    try:
        if montage:
            from ui.contact_sheet import write_contact_sheet

            write_contact_sheet(montage, asked, hits)
            typer.echo(f"The contact sheet is {montage}", err=True)
        if html:
            from ui.render import write_html

            write_html(html, asked, hits)
            typer.echo(f"The page is {html}", err=True)
    except OSError as error:
        raise CbirError(
            f"{error.filename or montage or html} cannot be written: {error.strerror}."
        ) from error


def _make_query(searcher: SearchEngine, line: dict[str, Any], settings: dict[str, Any]) -> Query:
    """Make a query; a box, or re-ranking, means a search of regions where nothing else is said."""
    from indexer.features.regions import Region
    from retrieval.query import Query

    box = line.get("box")
    if box is not None and not isinstance(box, str):
        box = ",".join(map(str, box)) if isinstance(box, list) else str(box)
    region = None if box is None else Region.parse(box)
    by_regions = settings["rerank"] or (
        region is not None and _region_kind(settings["feature"]) in searcher.store.spec.kinds
    )
    default = "region" if by_regions else "image"
    return Query(
        path=Path(line["image"]),
        box=region,
        **(settings | {"search": settings["search"] or default}),
    )


def _region_kind(feature: str) -> str:
    return "region" if feature == "conv" else "region_fc"


def _show(asked: Query, hits: list[Hit], elapsed_s: float, *, as_json: bool, csv: bool) -> None:
    from ui import render

    if as_json:
        typer.echo(json.dumps(render.answer_as_dict(asked, hits, elapsed_s)))
    elif csv:
        typer.echo(render.hits_as_csv([(None, hits)]), nl=False)
    else:
        render.print_hits(asked, hits, elapsed_s)


def _answer_batch(searcher: SearchEngine, batch: Path, settings: dict[str, Any], csv: bool) -> None:
    from ui import render

    answers: list[tuple[str | None, list[Hit]]] = []
    failed = 0
    for line in _read_batch(batch):
        try:
            hits = searcher.search(_make_query(searcher, line, settings))
        except CbirError as error:
            failed += 1
            typer.echo(f"Query {line['id']}: {error}", err=True)
            if not csv:
                typer.echo(json.dumps({"id": line["id"], "hits": [], "error": str(error)}))
            continue
        if csv:
            answers.append((str(line["id"]), hits))
        else:
            found = [render.hit_as_dict(hit) for hit in hits]
            typer.echo(json.dumps({"id": line["id"], "hits": found}))
    if csv:
        typer.echo(render.hits_as_csv(answers), nl=False)
    if failed:
        typer.echo(f"{failed} queries could not be answered.", err=True)
        raise typer.Exit(1)


def _read_batch(batch: Path) -> Iterator[dict[str, Any]]:
    try:
        text = batch.read_text("utf-8")
    except OSError as error:
        raise InvalidQueryError(f"{batch} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidQueryError(f"{batch} is not a text file in UTF-8.") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            parsed = json.loads(line)
            if not isinstance(parsed, dict) or not {"id", "image"} <= parsed.keys():
                raise ValueError("id and image are needed")
            if not isinstance(parsed["image"], str):
                raise ValueError("image must be a path")
        except ValueError as error:
            raise InvalidQueryError(
                f"Line {number} of {batch} is not a query like "
                f'{{"id": "1", "image": "cat.jpg", "box": null}}: {error}.'
            ) from error
        yield parsed


@app.command()
def localize(
    image: Annotated[Path, typer.Argument(metavar="QUERY", help="The query image.")],
    target: Annotated[Path, typer.Argument(help="The image to look in, indexed or not.")],
    store: StoreOption = None,
    box: Annotated[
        str | None, typer.Option(help="Query with this box X0,Y0,X1,Y1 of the upright image.")
    ] = None,
    context: Annotated[
        float, typer.Option(min=0, max=10, help="Pad the box on each side by this share of it.")
    ] = 0.0,
    out: Annotated[
        Path | None,
        typer.Option(help="Write box.png, heat.png, mask.png and overlay.png into this folder."),
    ] = None,
    engine: EngineOption = "auto",
    as_json: JsonOption = False,
) -> None:
    """Show where in one image the query is: box, score, heat map and mask."""
    from indexer.features.regions import Region
    from indexer.images import load_image
    from retrieval.engine import SearchEngine
    from retrieval.localize import localize as find
    from retrieval.query import Query

    searcher = SearchEngine.open(store, engine=_engine_name(engine))
    region = None if box is None else Region.parse(box)
    asked = Query(path=image, box=region, context=context, search="region")
    found = find(searcher, asked, load_image(target).pixels)
    files: dict[str, Path] = {}
    if out is not None:
        from ui.overlay import write_overlays

        try:
            files = write_overlays(out, found)
        except OSError as error:
            raise CbirError(
                f"{error.filename or out} cannot be written: {error.strerror}."
            ) from error
    if as_json:
        answer = {
            "query": {"path": str(image), "box": list(region.as_tuple()) if region else None},
            "target": str(target),
            "box": list(found.box.as_tuple()),
            "score": round(found.score, 6),
            "mask_pixels": int(found.mask.sum()),
            "files": {name: str(path) for name, path in files.items()},
        }
        typer.echo(json.dumps(answer))
        return
    typer.echo(f"box {found.box}  score {found.score:.3f}  mask {int(found.mask.sum())} pixels")
    for path in files.values():
        typer.echo(f"wrote {path}")


@app.command()
def whiten(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Learn a whitening from your own collection and re-encode its regions; no image is read.

    It helps to find instances, such as logos and prints; it can cost where you look for kinds.
    """
    from indexer.adapt import adapt_store

    opened = _open(store)
    spec = adapt_store(opened)
    count = opened.summarize().vectors["region"]
    if as_json:
        typer.echo(json.dumps({"adaptation": spec.adaptation, "regions": count}))
    else:
        typer.echo(f"Learned the whitening {spec.adaptation}; {count:,} regions are re-encoded.")


@app.command()
def optimize(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Merge what many runs of index left, drop removed vectors, train large indexes anew.

    It is safe to interrupt, and queries go on meanwhile.
    """
    import dataclasses

    from indexer.optimize import optimize_store

    reports = optimize_store(_open(store), lambda line: typer.echo(f"{line} …", err=True))
    for report in reports:
        if as_json:
            typer.echo(json.dumps(dataclasses.asdict(report)))
            continue
        recall = "" if report.recall is None else f", recall@10 {report.recall:.3f}"
        typer.echo(f"{report.kind}: {report.rows:,} vectors, {report.form}{recall}")


@app.command()
def info(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show what the store holds: images, failed files, vectors, spec, bytes on disk."""
    from ui import render

    opened = _open(store)
    if as_json:
        typer.echo(json.dumps(render.summary_as_dict(opened)))
    else:
        render.print_summary(opened)


@app.command()
def remove(
    photos: Annotated[
        list[Path], typer.Argument(help="Indexed images, or folders: all indexed images below.")
    ],
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Forget images; the files themselves are not touched."""
    from indexer.remove import remove_images

    removed = remove_images(_open(store), photos)
    if as_json:
        typer.echo(json.dumps({"removed": removed}))
    else:
        typer.echo(f"Removed {removed} images from the index; the files are untouched.")


@app.command()
def backbones(as_json: JsonOption = False) -> None:
    """List the networks, their taps, and which are here or would be downloaded."""
    from ui import render

    if as_json:
        for row in render.backbones_as_dicts():
            typer.echo(json.dumps(row))
    else:
        render.print_backbones()


def _open(path: Path | None) -> Store:
    from retrieval.engine import SearchEngine

    return SearchEngine.open(path).store


if __name__ == "__main__":
    app()
