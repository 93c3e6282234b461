"""Hits as tables, JSON, CSV and HTML."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexer.sources.place import Place, is_below
from retrieval.geometry import GeometricMatch
from retrieval.query import Hit, Quad, Query
from ui.printable import printable as printable

if TYPE_CHECKING:  # tables and JSON need no pictures
    pass

GONE = "file is gone"
CARD_PX = 320  # of the pictures of a page


def source_name(query: Query) -> str:
    """Return what a query is called: its text, URL or path; - if it came from standard input."""
    if query.text is not None:
        return query.text
    return query.name or ("-" if query.path is None else str(query.path))


def short_name(query: Query) -> str:
    """Return what a query image is called under its picture, safe to print."""
    return printable(query.path.name if query.path else query.name or query.text or "query")


def hit_as_dict(hit: Hit, *, missing: bool | None = None) -> dict[str, Any]:
    """Return a hit as the command line's JSON has it.

    `missing` says whether its file is gone, where that is known already.
    """
    return {
        "rank": hit.rank,
        "image_id": hit.image_id,
        "path": str(hit.path),
        "score": round(hit.score, 6),
        "confidence": None if hit.confidence is None else round(hit.confidence, 6),
        "verdict": hit.verdict,
        "box": list(hit.region.as_tuple()) if hit.region else None,
        "quad": quad_as_list(hit.quad),
        "inliers": hit.inliers,
        "mirrored": hit.mirrored,
        "inverted": hit.inverted,
        "missing": hit.is_missing if missing is None else missing,
        **({"annotations": dict(hit.annotations)} if hit.annotations else {}),
    }


def quad_as_list(quad: Quad | None) -> list[list[float]] | None:
    """Return the corners of an outline as JSON has them."""
    return None if quad is None else [[round(x, 1), round(y, 1)] for x, y in quad]


def answer_as_dict(query: Query, hits: Sequence[Hit], elapsed_s: float) -> dict[str, Any]:
    """Return a query and its hits as the command line's JSON has them."""
    asked: dict[str, Any] = {
        "path": source_name(query) if query.text is None else None,
        "box": list(query.box.as_tuple()) if query.box else None,
    }
    return {
        "query": asked if query.text is None else asked | {"text": query.text},
        "search": query.search,
        **({"scores": "reciprocal ranks"} if query.fused else {}),
        "elapsed_s": round(elapsed_s, 4),
        "hits": [hit_as_dict(hit) for hit in hits],
    }


def searches(query: Query) -> str:
    """Return by what a query is compared, such as "image search by conv + fc + sofa"."""
    said = f"{query.search} search by {query.feature}"
    for other, _ in query.fused:
        if other.text is not None:
            said += f" + {other.text}"
        elif other.search == query.search:
            said += f" + {other.feature}"
        else:
            said += f" + {other.search} search by {other.feature}"
    return said


def hits_as_csv(answers: Sequence[tuple[str | None, Sequence[Hit]]]) -> bytes:
    """Return the hits of queries as CSV with a header; the query's id where it has one.

    It is UTF-8, but for paths, which keep every byte that they have on disk.
    """
    out = io.StringIO()
    names = ["rank", "image_id", "path", "score", "confidence", "verdict", "box", "inliers"]
    with_id = any(query_id is not None for query_id, _ in answers)
    fields = dict.fromkeys(name for _, hits in answers for hit in hits for name in hit.annotations)
    names += [name for name in fields if name not in (*names, "query")]
    writer = csv.DictWriter(
        out,
        (["query"] if with_id else []) + names,
        lineterminator="\n",
        extrasaction="ignore",
    )
    writer.writeheader()
    for query_id, hits in answers:
        for hit in hits:
            row = {**hit.annotations, **hit_as_dict(hit), "box": str(hit.region or "")}
            writer.writerow(row | ({"query": query_id} if with_id else {}))
    return out.getvalue().encode("utf-8", "surrogateescape")


def print_hits(query: Query, hits: Sequence[Hit], elapsed_s: float) -> None:
    """Print the hits as a table on stdout."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    box = f", box {query.box}" if query.box else ""
    table = Table(
        title=f"{escape(printable(source_name(query)))}{box} · "
        f"{escape(printable(searches(query)))} · {elapsed_s * 1000:.0f} ms",
        title_justify="left",
        caption="Scores are made of ranks: 1 is first in all rankings." if query.fused else None,
        caption_justify="left",
    )
    table.add_column("rank", justify="right")
    table.add_column("score", justify="right")
    with_verdicts = any(hit.verdict for hit in hits)
    if with_verdicts:
        table.add_column("verdict")
    with_boxes = any(hit.region for hit in hits)
    if with_boxes:
        table.add_column("box", no_wrap=True)
    table.add_column("image", overflow="fold")
    for place, hit in enumerate(hits):
        row = [str(hit.rank), f"{hit.score:.3f}"]
        if with_verdicts:
            row.append(verdict_text(hit))
        if with_boxes:
            row.append(str(hit.region or ""))
        following = hits[place + 1 : place + 2]
        ends = hit.verdict != "weak" and any(h.verdict == "weak" for h in following)
        gone = f" ({GONE})" if hit.is_missing else ""
        name = printable(shorten(hit.path)) + gone
        said = "".join(
            f"\n{printable(name)}: {printable(text)}" for name, text in hit.annotations.items()
        )
        table.add_row(*row, escape(name + said), end_section=ends)
    if hits:
        console.print(table)
    if not hits:
        console.print("No confident match." if query.min_confidence else "No hits.")
    elif all(hit.verdict == "weak" for hit in hits):
        console.print("No confident match: these are the nearest images, no more.")


def verdict_text(hit: Hit) -> str:
    """Return what a verdict rests on, in a few words; empty where there is none."""
    if hit.inliers is not None:
        return f"{hit.verdict} ({points_text(hit.inliers, hit)})"
    return hit.verdict or ""


def points_text(inliers: int, found: Hit | GeometricMatch) -> str:
    """Return how many keypoints prove a match, and in which form of the query."""
    forms = [name for name in ("mirrored", "inverted") if getattr(found, name)]
    return ", ".join([f"{inliers} points", *forms])


def shorten(path: Place) -> Place:
    """Return a path as seen from the current folder, where it lies below that."""
    here = Path.cwd()
    return path.relative_to(here) if isinstance(path, Path) and is_below(path, here) else path


def write_html(path: Path, query: Query, hits: Sequence[Hit]) -> None:
    """Write query and hits as one page with the thumbnails inside."""
    from jinja2 import Environment, PackageLoader

    from ui.thumbnails import as_data_url, draw_hit, draw_query

    page = Environment(loader=PackageLoader(__name__), autoescape=True).get_template("results.html")
    cards = [
        {
            "hit": hit,
            "name": printable(hit.path.name),
            "path": printable(hit.path),
            "image": as_data_url(draw_hit(hit, CARD_PX)),
            "verdict": verdict_text(hit) + (f" · {GONE}" if hit.is_missing else ""),
        }
        for hit in hits
    ]
    image = as_data_url(draw_query(query, CARD_PX))
    html = page.render(query=query, name=short_name(query), image=image, cards=cards)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, "utf-8")
