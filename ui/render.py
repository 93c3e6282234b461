"""Hits as tables, JSON, CSV and HTML."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from retrieval.query import Hit, Query


def printable(text: object) -> str:
    """Return text that is safe to print: control characters and stray bytes as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )


def hit_as_dict(hit: Hit) -> dict[str, Any]:
    """Return a hit as the command line's JSON has it."""
    return {
        "rank": hit.rank,
        "image_id": hit.image_id,
        "path": str(hit.path),
        "score": round(hit.score, 6),
        "box": list(hit.region.as_tuple()) if hit.region else None,
    }


def answer_as_dict(query: Query, hits: Sequence[Hit], elapsed_s: float) -> dict[str, Any]:
    """Return a query and its hits as the command line's JSON has them."""
    return {
        "query": {
            "path": str(query.path),
            "box": list(query.box.as_tuple()) if query.box else None,
        },
        "search": query.search,
        "elapsed_s": round(elapsed_s, 4),
        "hits": [hit_as_dict(hit) for hit in hits],
    }


def hits_as_csv(answers: Sequence[tuple[str | None, Sequence[Hit]]]) -> str:
    """Return the hits of queries as CSV with a header; the query's id where it has one."""
    out = io.StringIO()
    names = ["rank", "image_id", "path", "score", "box"]
    with_id = any(query_id is not None for query_id, _ in answers)
    writer = csv.DictWriter(out, (["query"] if with_id else []) + names, lineterminator="\n")
    writer.writeheader()
    for query_id, hits in answers:
        for hit in hits:
            row = hit_as_dict(hit) | {"box": str(hit.region or "")}
            writer.writerow(row | ({"query": query_id} if with_id else {}))
    return out.getvalue()


def print_hits(query: Query, hits: Sequence[Hit], elapsed_s: float) -> None:
    """Print the hits as a table on stdout."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    box = f", box {query.box}" if query.box else ""
    table = Table(
        title=f"{escape(printable(query.path))}{box} · {query.search} search by {query.feature} · "
        f"{elapsed_s * 1000:.0f} ms",
        title_justify="left",
    )
    table.add_column("rank", justify="right")
    table.add_column("score", justify="right")
    with_boxes = any(hit.region for hit in hits)
    if with_boxes:
        table.add_column("box")
    table.add_column("image", overflow="fold")
    for hit in hits:
        row = [str(hit.rank), f"{hit.score:.3f}", escape(printable(shorten(hit.path)))]
        if with_boxes:
            row.insert(2, str(hit.region or ""))
        table.add_row(*row)
    console.print(table)
    if not hits:
        console.print("No hits.")


def shorten(path: Path) -> Path:
    """Return a path as seen from the current folder, where it lies below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def write_html(path: Path, query: Query, hits: Sequence[Hit]) -> None:
    """Write query and hits as one page with the thumbnails inside."""
    from jinja2 import Environment, PackageLoader

    page = Environment(loader=PackageLoader("ui"), autoescape=True).get_template("results.html")
    cards = [
        {
            "hit": hit,
            "name": printable(hit.path.name),
            "path": printable(hit.path),
            "image": _data_url(hit.path, hit.region),
        }
        for hit in hits
    ]
    source = query.path or query.data or b""
    name = printable(query.path.name) if query.path else "query"
    html = page.render(query=query, name=name, image=_data_url(source, query.box), cards=cards)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html, "utf-8")


def _data_url(source: Path | bytes, box: Any) -> str:
    from ui.thumbnails import draw_thumbnail

    out = io.BytesIO()
    draw_thumbnail(source, 320, box).save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
