"""Reports of `cbir eval layers`: rows, tables, and the recommendation in words and as a spec."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from indexer.errors import CbirError
from retrieval.evaluation.judging import Judgement, interval
from retrieval.evaluation.layer_study import Recommendation, SettingResult
from retrieval.evaluation.tasks import Task
from ui.printable import printable

SHOWN = 20


def setting_row(result: SettingResult) -> dict[str, Any]:
    """Return a result as JSON has it: per cent on the half it may be chosen by, and held out."""
    setting = result.setting
    low, high = interval([result.chosen_by.resampled])
    held_low, held_high = interval([result.held_out.resampled])
    return {
        "task": result.task,
        "figure": result.figure,
        "backbone": setting.backbone,
        "tap": setting.tap,
        "pooling": setting.pooling,
        "size_px": setting.size_px,
        "whitened": setting.is_whitened,
        "dimension": result.dimension,
        "value": round(result.chosen_by.figure, 2),
        "low": round(low, 2),
        "high": round(high, 2),
        "held_out": round(result.held_out.figure, 2),
        "held_out_low": round(held_low, 2),
        "held_out_high": round(held_high, 2),
    }


def recommendation_row(found: Recommendation) -> dict[str, Any]:
    """Return the recommendation as JSON has it."""
    return {
        "recommended": found.best.setting.as_spec() if found.is_better else None,
        "best": setting_row(found.best),
        "default": setting_row(found.default),
        "gain": round(found.gain, 2),
        "gain_low": round(found.low, 2),
        "gain_high": round(found.high, 2),
    }


def print_study(
    results: Sequence[SettingResult], found: Recommendation, tasks: Sequence[Task]
) -> None:
    """Print a table for each task, best first, and the recommendation."""
    console = Console()
    for task in tasks:
        own = [result for result in results if result.task == task.name]
        own.sort(key=lambda result: -result.chosen_by.figure)
        shown = own[:SHOWN]
        title = f"{escape(printable(task.name))}: {task.figure} in per cent, with 95 % intervals"
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        several = len({result.setting.backbone for result in own}) > 1
        for name in (*(["backbone"] if several else []), "tap", "pooling"):
            table.add_column(name, no_wrap=True)
        table.add_column("px", justify="right")
        table.add_column("whitened")
        table.add_column("chosen by", justify="right", no_wrap=True)
        table.add_column("held out", justify="right", no_wrap=True)
        for result in shown:
            setting = result.setting
            table.add_row(
                *([setting.backbone] if several else []),
                setting.tap,
                setting.pooling or "",
                str(setting.size_px),
                "yes" if setting.is_whitened else "",
                _with_interval(result.chosen_by),
                _with_interval(result.held_out),
            )
        console.print(table)
        if len(own) > SHOWN:
            console.print(f"… and {len(own) - SHOWN} more; --json lists them all.\n")
    console.print(escape(printable(recommendation_text(found))), soft_wrap=True)


def recommendation_text(found: Recommendation) -> str:
    """Return the recommendation in words."""
    best, default = found.best, found.default
    if best.setting == default.setting:
        return f"The default, {default.setting.title}, is the best: keep it."
    gain = f"{found.gain:+.1f} points of {best.figure} ({found.low:+.1f} to {found.high:+.1f})"
    if not found.is_better:
        return (
            f"None beats the default, {default.setting.title}, for certain. The best, "
            f"{best.setting.title}, differs by {gain} on the held-out half."
        )
    text = f"Recommended for {best.task}: {best.setting.title}, {gain} over the default on the "
    text += "held-out half."
    if best.setting.pooling is None:
        text += " It is an fc tap: query with --feature fc."
    return text


def spec_text(found: Recommendation) -> str:
    """Return the recommended choices, or the default ones, as `cbir index --spec` reads them."""
    setting = (found.best if found.is_better else found.default).setting
    return json.dumps(setting.as_spec(), indent=1) + "\n"


def write_spec(place: Path, found: Recommendation) -> None:
    """Write `spec_text` to a file."""
    try:
        place.write_text(spec_text(found), "utf-8")
    except OSError as error:
        raise CbirError(f"{place} cannot be written: {error.strerror}.") from error


def _with_interval(judged: Judgement) -> str:
    low, high = interval([judged.resampled])
    return f"{judged.figure:.1f} ({low:.1f}–{high:.1f})"
