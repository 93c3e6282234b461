"""Making the queries of `cbir query`, and answering those of a batch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from indexer.errors import CbirError, InvalidQueryError
from indexer.memory import hold_few_pages
from retrieval.query import Query
from ui.cli.batch import read_batch
from ui.cli.shell import say, say_csv
from ui.cli.source import read_source
from ui.further import FurtherFeature, with_further

if TYPE_CHECKING:
    from retrieval.engine import SearchEngine
    from retrieval.query import Hit

BATCH = 16  # queries that are forwarded and compared together
FURTHER = ("features", "also", "also_text")  # settings that make further queries


def read_weights(images: Sequence[str], usual: float) -> list[tuple[str, float]]:
    """Return images with their weights: what IMAGE@NUMBER says, or `usual`, whose sign counts.

    Raises `InvalidQueryError` for a weight that is not above 0.
    """
    return [_read_weight(image, usual) for image in images]


def _read_weight(image: str, usual: float) -> tuple[str, float]:
    name, at, text = image.rpartition("@")
    try:
        weight = float(text)
    except ValueError:
        return image, usual
    if not at or Path(image).exists():
        return image, usual
    if not 0 < weight < float("inf"):
        raise InvalidQueryError(f"The weight of {name} is a number above 0, not {text}.")
    return name, weight if usual > 0 else -weight


def make_query(
    searcher: SearchEngine, line: dict[str, Any], settings: dict[str, Any], allow_private: bool
) -> Query:
    """Return the query of a line of a batch, or of the command; `settings` hold for all of them.

    Raises `CbirError`.
    """
    from indexer.features.regions import Region

    box = line.get("box")
    if box is not None and not isinstance(box, str):
        box = ",".join(map(str, box)) if isinstance(box, list) else str(box)
    region = None if box is None else Region.parse(box)
    if line.get("text") is not None:
        source: dict[str, Any] = {"text": line["text"]}
    else:
        source = read_source(line["image"], allow_private=allow_private)
    own = {name: value for name, value in settings.items() if name not in FURTHER}
    query = Query.for_store(searcher.store.spec, box=region, **source, **own)
    images = [
        (read_source(image, allow_private=allow_private), weight)
        for image, weight in settings["also"]
    ]
    return with_further(
        searcher.store.spec,
        query,
        images=images,
        features=[FurtherFeature(feature) for feature in settings["features"]],
        words=settings["also_text"],
    )


def answer_batch(
    searcher: SearchEngine,
    batch: Path,
    settings: dict[str, Any],
    csv: bool,
    allow_private: bool,
) -> None:
    """Answer the queries of a file, in order; a query that fails is told, and ends with code 1."""
    from ui import render

    if settings["rerank"]:
        hold_few_pages()  # it takes no time to speak of beside all the rest
    answers: list[tuple[str | None, list[Hit]]] = []
    failed = 0
    gone: dict[int, bool] = {}  # looked at once, not for every query

    def as_dict(hit: Hit) -> dict[str, Any]:
        if hit.image_id not in gone:
            gone[hit.image_id] = hit.is_missing
        return render.hit_as_dict(hit, missing=gone[hit.image_id])

    lines = list(read_batch(batch))
    size = 1 if settings["rerank"] else BATCH
    for start in range(0, len(lines), size):
        part = lines[start : start + size]
        answered = _answer(searcher, part, settings, allow_private)
        for line, answer in zip(part, answered, strict=True):
            if isinstance(answer, CbirError):
                failed += 1
                say(f"Query {line['id']}: {answer}", err=True)
                if not csv:
                    say(json.dumps({"id": line["id"], "hits": [], "error": str(answer)}))
            elif csv:
                answers.append((str(line["id"]), answer))
            else:
                found = [as_dict(hit) for hit in answer]
                say(json.dumps({"id": line["id"], "hits": found}))
    if csv:
        say_csv(render.hits_as_csv(answers))
    if failed:
        say(f"{failed} queries could not be answered.", err=True)
        raise typer.Exit(1)


def _answer(
    searcher: SearchEngine,
    lines: Sequence[dict[str, Any]],
    settings: dict[str, Any],
    allow_private: bool,
) -> list[list[Hit] | CbirError]:
    """Answer a few queries together; a query that fails has its error as the answer."""
    queries: list[Query | CbirError] = []
    for line in lines:
        try:
            queries.append(make_query(searcher, line, settings, allow_private))
        except CbirError as error:
            queries.append(error)
    found = iter(searcher.search_many([q for q in queries if not isinstance(q, CbirError)]))
    return [q if isinstance(q, CbirError) else next(found) for q in queries]
