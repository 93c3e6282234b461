"""`cbir query`, of one image or of a batch."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from indexer.choices import TAP_KINDS, Scope
from indexer.errors import CbirError
from retrieval.query import Query
from ui.cli.answering import answer_batch, make_query, read_weights
from ui.cli.shell import (
    CandidatesOption,
    DamagedOption,
    EngineOption,
    JsonOption,
    LimitOption,
    OversizeOption,
    RerankOption,
    StoreOption,
    VerifyOption,
    app,
    limit_of,
    say,
    say_csv,
)
from ui.cli.source import PrivateOption, say_classes
from ui.further import UNLIKE

if TYPE_CHECKING:
    from indexer.image_set import ImageSet
    from retrieval.engine import SearchEngine
    from retrieval.query import Hit


def _known_features(features: list[str] | None) -> list[str] | None:
    for feature in features or ():
        if feature not in TAP_KINDS:
            raise typer.BadParameter(f"{feature!r} is not one of {', '.join(TAP_KINDS)}")
    return features


@app.command()
def query(
    image: Annotated[
        str | None,
        typer.Argument(
            help="The query image, in the index or not: a file, an http or https URL, or - for "
            "standard input. What is fetched is not stored."
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(
            help="Search by a word instead: one of the 1,000 class names that the network knows."
        ),
    ] = None,
    store: StoreOption = None,
    k: Annotated[int, typer.Option("-k", min=0, help="How many hits at most; 0 for all.")] = Query.k
    or 0,
    feature: Annotated[
        list[str] | None,
        typer.Option(
            callback=_known_features,
            autocompletion=lambda: list(TAP_KINDS),
            metavar=f"[{'|'.join(TAP_KINDS)}]",
            help="Compare conv (appearance) or fc (kind of content) features; given twice, both, "
            "each ranking by itself.",
            show_default="conv, and fc for --text",
        ),
    ] = None,
    box: Annotated[
        str | None,
        typer.Option(help="Query with this box X0,Y0,X1,Y1 of the upright image, in pixels."),
    ] = None,
    context: Annotated[
        float, typer.Option(min=0, max=10, help="Pad the box on each side by this share of it.")
    ] = Query.context,
    search: Annotated[
        Scope | None,
        typer.Option(
            help="Compare with whole images (image), or with all their regions (region).",
            show_default="region for a box, image for a whole picture",
        ),
    ] = None,
    turns: Annotated[
        bool,
        typer.Option(
            "--turns", help="Ask in four rotations, a quarter turn each; images may lie on a side."
        ),
    ] = False,
    verify: VerifyOption = None,
    rerank: RerankOption = False,
    candidates: CandidatesOption = Query.candidates,
    min_confidence: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Leave out hits of less confidence than this; at 1, only proved ones stay.",
        ),
    ] = Query.min_confidence,
    tag: Annotated[
        list[str] | None,
        typer.Option(help="Find only images that have this tag; given again, those that have all."),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            help="Find only images that meet this, such as 'folder:2019/* and date>=2019-06 and "
            "width>2000'; docs/filters.md has the language."
        ),
    ] = "",
    also: Annotated[
        list[str] | None,
        typer.Option(
            help="Find what is like this image, too; may be given several times. IMAGE@0.5 counts "
            "half."
        ),
    ] = None,
    also_text: Annotated[
        list[str] | None,
        typer.Option(
            help="Find what is like this word, too, one that --text takes; may be given several "
            "times. WORD@0.5 counts half.",
        ),
    ] = None,
    unlike: Annotated[
        list[str] | None,
        typer.Option(
            "--not",
            help="Find what is unlike this image; may be given several times. It counts half; "
            "IMAGE@1 counts whole.",
        ),
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            help="Answer many: a file, or - for standard input, of JSON lines or CSV with id, "
            "image and box (or nothing)."
        ),
    ] = None,
    as_json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print the hits as CSV.")] = False,
    montage: Annotated[
        Path | None, typer.Option(help="Write query and hits as one contact sheet (.jpg, .png).")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write query and hits as one self-contained page.")
    ] = None,
    save_hits: Annotated[
        Path | None,
        typer.Option(
            help="Copy the photos that are found into this folder, in order, with a table hits.csv."
        ),
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="With --save-hits: make links instead of copies.")
    ] = False,
    max_megapixels: LimitOption = None,
    oversize: OversizeOption = "skip",
    damaged: DamagedOption = "skip",
    allow_private: PrivateOption = False,
    engine: EngineOption = "auto",
) -> None:
    """Find the images nearest to an image, or to a box in it, or to a word."""
    from retrieval.engine import SearchEngine
    from ui.process import configure_images

    if sum(source is not None for source in (image, text, batch)) != 1:
        raise typer.BadParameter("give an image, --text WORD or --batch FILE")
    if batch and (montage or html or save_hits or box):
        raise typer.BadParameter(
            "--montage, --html, --save-hits and --box go with a single image, not --batch"
        )
    if link and not save_hits:
        raise typer.BadParameter("--link goes with --save-hits")
    if as_json and csv:
        raise typer.BadParameter("choose one of --json and --csv")
    if montage and montage.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp"):
        raise typer.BadParameter(
            f"{montage} must end in .jpg, .png or .webp", param_hint="--montage"
        )
    if text is not None and (also or unlike or len(feature or ()) > 1):
        raise typer.BadParameter(
            "--also, --not and several features go with an image; a word beside it is --also-text"
        )
    configure_images()
    features = list(dict.fromkeys(feature or ()))
    words = read_weights(also_text or (), 1.0)
    searcher = SearchEngine.open(store, engine=engine)
    settings = {
        "feature": features[0] if features else None,
        "k": k or None,
        "context": context,
        "search": search,
        "turns": turns,
        "verify": (searcher.store.keeps_keypoints and not text) if verify is None else verify,
        "rerank": rerank,
        "candidates": candidates,
        "min_confidence": min_confidence,
        "max_pixels": limit_of(searcher.store, max_megapixels),
        "damaged": damaged,
        "oversize": oversize,
        "features": features[1:],
        "also": [*read_weights(also or (), 1.0), *read_weights(unlike or (), -UNLIKE)],
        "also_text": words,
        "allowed": _chosen(searcher, tag or [], where) if tag or where else None,
    }
    if batch:
        with _showing_progress(searcher, settings):
            answer_batch(searcher, batch, settings, csv, allow_private)
        return
    import time

    started = time.perf_counter()
    for word in [text, *(name for name, _ in words)]:
        if word is not None:
            say_classes(searcher.store, word)
    asked = make_query(
        searcher, {"image": image, "text": text, "box": box}, settings, allow_private
    )
    with _showing_progress(searcher, settings):
        hits = searcher.search(asked)
    elapsed_s = time.perf_counter() - started
    _show(asked, hits, elapsed_s, as_json=as_json, csv=csv)
    if save_hits:
        _save(searcher, hits, save_hits, link=link)
    try:
        if montage:
            from ui.contact_sheet import write_contact_sheet

            write_contact_sheet(montage, asked, hits)
            say(f"The contact sheet is {montage}", err=True)
        if html:
            from ui.render import write_html

            write_html(html, asked, hits)
            say(f"The page is {html}", err=True)
    except OSError as error:
        raise CbirError(
            f"{error.filename or montage or html} cannot be written: {error.strerror}."
        ) from error


def _save(searcher: SearchEngine, hits: Sequence[Hit], folder: Path, *, link: bool) -> None:
    """Save the photos of hits, and say which cannot be had."""
    from ui.progress import ConsoleProgress
    from ui.saved_hits import save_hits

    store = searcher.store
    roots = [*store.roots().values()] if store.is_foreign else None
    with ConsoleProgress() as progress:
        missing = save_hits(folder, hits, links=link, roots=roots, progress=progress)
    for path, reason in missing:
        say(f"Not saved: {path}: {reason}", err=True)
    saved = len(hits) - len(missing)
    say(f"{'1 photo is' if saved == 1 else f'{saved:,} photos are'} in {folder}", err=True)


def _chosen(searcher: SearchEngine, tags: Sequence[str], where: str) -> ImageSet:
    """Return the images that have all these tags, and meet a filter."""
    from indexer.store.filters import ImageFilter, find_ids

    found = find_ids(searcher.store, ImageFilter(tags=tuple(tags), where=where))
    if not found and where:
        say("No image meets the filter.", err=True)
    elif not found:
        say("No image has these tags; cbir tag gives them to images.", err=True)
    return found


@contextmanager
def _showing_progress(searcher: SearchEngine, settings: dict[str, Any]) -> Iterator[None]:
    """Show how far the finding of keypoints is, which only some queries need."""
    if not (settings["verify"] or settings["rerank"]):
        yield
        return
    from ui.progress import ConsoleProgress

    with ConsoleProgress() as searcher.collection.progress:
        yield


def _show(asked: Query, hits: list[Hit], elapsed_s: float, *, as_json: bool, csv: bool) -> None:
    from ui import render

    if as_json:
        say(json.dumps(render.answer_as_dict(asked, hits, elapsed_s)))
    elif csv:
        say_csv(render.hits_as_csv([(None, hits)]))
    else:
        render.print_hits(asked, hits, elapsed_s)
