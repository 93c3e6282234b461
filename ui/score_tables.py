"""Figures of retrieval as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ui.printable import printable


def print_scores(rows: Sequence[dict[str, Any]]) -> None:
    """Print a row for each protocol, figures of boxes apart where there are any."""
    console = Console()
    console.print(_ranking(rows))
    if any(row["located"] for row in rows):
        console.print(_boxes(rows))
    for name in dict.fromkeys(_remark(row) for row in rows):
        if name:
            console.print(name)


def _ranking(rows: Sequence[dict[str, Any]]) -> Table:
    first = rows[0]
    steps = [name for name in ("verify", "rerank") if first[name]]
    title = " · ".join(
        [
            escape(printable(first["name"])),
            f"{first['queries']:,} queries",
            f"{first['search']} search by {first['feature']}",
            *steps,
        ]
    )
    table = Table(title=title, title_justify="left")
    names = ["mAP %", "95 %", "P@10", "R@10", "hit@1", "hit@10", "N-S"]
    with_protocol = any(row["protocol"] for row in rows)
    if with_protocol:
        table.add_column("protocol")
        table.add_column("queries", justify="right")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        cells = [row["protocol"], f"{row['queries']:,}"] if with_protocol else []
        cells += [_percent(row["mAP"]), f"{_percent(row['mAP_low'])}–{_percent(row['mAP_high'])}"]
        cells += [_percent(row[n]) for n in ("precision@10", "recall@10", "hit@1", "hit@10")]
        table.add_row(*cells, "-" if row["N-S"] is None else f"{row['N-S']:.2f}")
    return table


def _boxes(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Boxes of right images in the first ten", title_justify="left")
    if any(row["protocol"] for row in rows):
        table.add_column("protocol")
    for name in ("located", "mean IoU %", "IoU ≥ 0.5", "pointing"):
        table.add_column(name, justify="right")
    for row in rows:
        figures = [_percent(row[name]) for name in ("box_iou", "box_iou>=0.5", "pointing")]
        table.add_row(*filter(None, [row["protocol"]]), f"{row['located']:,}", *figures)
    return table


def _remark(row: dict[str, Any]) -> str:
    prefix = f"{row['protocol']}: " if row["protocol"] else ""
    parts = []
    if row["unanswered"]:
        parts.append(f"unanswered queries, which count as 0: {row['unanswered']:,}")
    if row["without_positives"]:
        parts.append(f"queries without positives, left out: {row['without_positives']:,}")
    return f"{prefix}{'; '.join(parts)}" if parts else ""


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"
