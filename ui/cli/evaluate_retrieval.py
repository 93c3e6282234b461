"""`cbir eval retrieval`: how well the right images are found and located, on labelled queries."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

import typer

from indexer.choices import Scope, TapKind
from indexer.errors import CbirError
from retrieval.query import Query
from ui.cli.evaluate import evaluation
from ui.cli.shell import (
    CandidatesOption,
    EngineOption,
    JsonOption,
    RerankOption,
    StoreOption,
    VerifyOption,
    say,
)
from ui.cli.stores import stoppable

if TYPE_CHECKING:  # loaded when the command runs
    from retrieval.engine import SearchEngine
    from retrieval.evaluation.asking import Answer, Database
    from retrieval.evaluation.manifest import Manifest
    from retrieval.evaluation.revisited import Protocol
    from retrieval.evaluation.scoring import Scores
    from retrieval.query import Hit

ALL = "all"
FAILURES = 20


@evaluation.command()
def retrieval(
    dataset: Annotated[
        Path,
        typer.Argument(
            help="A labelled collection: a manifest (.json), a CSV file with image and group, the "
            "ground-truth files of Oxford5k, Paris6k, ROxford or RParis, INRIA Holidays, UKBench."
        ),
    ],
    images: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the images.", show_default="in the dataset, or beside its files"
        ),
    ] = None,
    store: StoreOption = None,
    search: Annotated[
        Scope | None,
        typer.Option(
            help="Compare with whole images (image), or with all their regions (region).",
            show_default="region for a box, image for a whole picture",
        ),
    ] = None,
    feature: Annotated[
        TapKind, typer.Option(help="Compare conv (appearance) or fc (kind of content) features.")
    ] = Query.feature,
    verify: VerifyOption = None,
    rerank: RerankOption = False,
    candidates: CandidatesOption = Query.candidates,
    k: Annotated[
        str, typer.Option("-k", help="How many hits of a query are scored, or all.")
    ] = ALL,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="easy, medium or hard, of ROxford and RParis.", show_default="all three"),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Ask the first of every N queries only.")] = 1,
    per_query: Annotated[
        bool, typer.Option("--per-query", help="With --json, a line for each query before.")
    ] = False,
    hits: Annotated[
        Path | None, typer.Option(help="Write the answers as JSON lines with id and hits.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write the worst queries as one self-contained page.")
    ] = None,
    failures: Annotated[
        int, typer.Option(min=1, help="How many queries the page shows.")
    ] = FAILURES,
    as_json: JsonOption = False,
    engine: EngineOption = "auto",
) -> None:
    """Ask a labelled collection's queries: how well are the right images found and located?

    The search is limited to the collection's database, which must be indexed. docs/manifests.md
    has the forms of collections and the definitions of the figures.
    """
    from retrieval.engine import SearchEngine
    from retrieval.evaluation.asking import find_database, keep_asked, name_search
    from retrieval.evaluation.benchmark_sets import read_benchmark
    from ui.process import configure_images

    limit = _parse_k(k)
    protocols = _parse_protocols(protocol or [])
    if per_query and not as_json:
        raise typer.BadParameter("--per-query goes with --json")
    configure_images()
    with stoppable("Not all queries were asked, so there are no figures."):
        manifests = read_benchmark(dataset, images, protocols)
        manifests = [manifest.every(every) for manifest in manifests]
        asked = keep_asked(manifests)
        searcher = SearchEngine.open(store, engine=engine)
        settings: dict[str, Any] = {
            "search": search,
            "feature": feature,
            "verify": searcher.store.keeps_keypoints if verify is None else verify,
            "rerank": rerank,
            "candidates": candidates,
            "k": limit,
            "max_pixels": searcher.store.max_pixels,
        }
        scope = name_search(searcher.store, asked, settings)
        database = find_database(searcher.store, asked)
        _warn(manifests, database)
        with _writing(html, "a"):
            pass  # a place that cannot be written is known before the work
        started = time.perf_counter()
        scores = _measure(searcher, manifests, asked, database, settings, hits)
        chosen = {name: settings[name] for name in ("feature", "verify", "rerank", "k")}
        chosen |= {"search": scope, "elapsed_s": round(time.perf_counter() - started, 3)}
        if html:
            _write_page(html, scores, failures)
    rows = [found.as_dict() | chosen for found in scores]
    if as_json:
        _print_json(scores, rows, per_query=per_query)
    else:
        from ui.score_tables import print_scores

        print_scores(rows)


def _parse_k(k: str) -> int | None:
    if k == ALL:
        return None
    if not k.isdecimal() or not int(k):
        raise typer.BadParameter(f"{k} is neither a number of hits nor {ALL}", param_hint="-k")
    return int(k)


def _parse_protocols(names: list[str]) -> list[Protocol]:
    from retrieval.evaluation.revisited import PROTOCOLS

    unknown = [name for name in names if name not in PROTOCOLS]
    if unknown:
        raise typer.BadParameter(
            f"{unknown[0]} is not one of {', '.join(PROTOCOLS)}", param_hint="--protocol"
        )
    return [name for name in PROTOCOLS if name in names]


def _warn(manifests: list[Manifest], database: Database) -> None:
    """Say what in the collection is not as it should be, but is no reason to stop."""
    if database.unreadable:
        say(
            f"{len(database.unreadable):,} of the database's images could not be indexed, such as "
            f"{database.unreadable[0]}; they count as not found.",
            err=True,
        )
    for manifest in manifests:
        unknown = manifest.unknown_positives()
        if unknown:
            say(
                f"{len(unknown):,} of the positives of {manifest.name} cannot be found, such as "
                f"{min(unknown)}: not in its database.",
                err=True,
            )


def _measure(
    searcher: SearchEngine,
    manifests: list[Manifest],
    asked: Manifest,
    database: Database,
    settings: dict[str, Any],
    hits: Path | None,
) -> list[Scores]:
    """Ask, write the answers to `hits` if that is given, and score them."""
    from retrieval.evaluation.asking import ask_queries
    from retrieval.evaluation.scoring import score_protocols
    from ui.progress import ConsoleProgress

    with _writing(hits) as file, ConsoleProgress() as progress:
        answers = ask_queries(searcher, asked, database, settings, progress)
        return score_protocols(manifests, _note(answers, file))


@contextmanager
def _writing(path: Path | None, mode: Literal["w", "a"] = "w") -> Iterator[IO[str] | None]:
    """Open a file that is to be written line by line; None stays None."""
    if path is None:
        yield None
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open(mode, encoding="utf-8", buffering=1)
    except OSError as error:
        raise CbirError(f"{path} cannot be written: {error.strerror}.") from error
    with file:
        yield file


def _write(file: IO[str], text: str) -> None:
    try:
        file.write(text)
    except OSError as error:
        raise CbirError(f"{file.name} cannot be written: {error.strerror}.") from error


def _write_page(html: Path, scores: list[Scores], failures: int) -> None:
    from ui.failures import render_failures

    page = render_failures(scores, failures)
    with _writing(html) as file:
        if file is not None:
            _write(file, page)
    say(f"The page is {html}", err=True)


def _note(
    answers: Iterable[Answer], file: IO[str] | None
) -> Iterator[tuple[str, list[Hit] | None]]:
    """Report queries that cannot be answered, and write the hits of the others."""
    from retrieval.evaluation.asking import answer_as_dict
    from ui.printable import printable

    for query_id, answer in answers:
        if isinstance(answer, CbirError):
            say(f"Query {printable(query_id)}: {printable(answer)}", err=True)
            yield query_id, None
            continue
        if file is not None:
            _write(file, json.dumps(answer_as_dict(query_id, answer)) + "\n")
        yield query_id, answer


def _print_json(scores: list[Scores], rows: list[dict[str, Any]], *, per_query: bool) -> None:
    for found, row in zip(scores, rows, strict=True):
        for query in found.queries if per_query else ():
            line = query.as_dict() | {"protocol": found.manifest.protocol}
            say(json.dumps(line))
        say(json.dumps(row))
