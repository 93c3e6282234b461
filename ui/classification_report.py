"""Reports of `cbir eval classify`: rows, a table, a confusion matrix and a page."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from indexer.errors import CbirError
from retrieval.evaluation.classification import Result
from retrieval.evaluation.judging import FigureName, Mistake, confusion, worst_mistakes
from retrieval.evaluation.labelled import LabelledImages
from ui.charts import chart_as_svg, plot_results
from ui.printable import printable
from ui.thumbnails import as_data_url, draw_thumbnail

MISTAKES = 48
PICTURE_PX = 240


def as_row(result: Result, dataset: str, model: str, figure: FigureName) -> dict[str, Any]:
    """Return a result as JSON has it, in per cent with two decimals."""
    points = result.eleven_points
    return {
        "dataset": dataset,
        "backbone": result.backbone,
        "features": result.features,
        "dimension": result.dimension,
        "model": model if result.strength is not None else None,
        "training_images": result.training_images,
        "per_class": result.per_class,
        "seeds": result.seeds,
        figure: round(result.figure, 2),
        "low": round(result.low, 2),
        "high": round(result.high, 2),
        "mAP_11_points": None if points is None else round(points, 2),
        "regularisation": result.strength,
        "elapsed_s": round(result.elapsed_s, 1),
    }


def print_table(results: Sequence[Result], images: LabelledImages, figure: FigureName) -> None:
    """Print results, those with the fewest training images first, then the best first."""
    test = int((~results[0].images.is_train).sum())
    title = f"{escape(printable(images.name))}: {len(images.classes)} classes, {test} test images"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("backbone", no_wrap=True)
    table.add_column("features")
    table.add_column("trained on", justify="right")
    table.add_column(f"{figure} % (95 % interval)", justify="right", no_wrap=True)
    has_points = any(result.eleven_points is not None for result in results)
    if has_points:
        table.add_column("11 points", justify="right")
    table.add_column("seconds", justify="right")
    for result in sorted(results, key=lambda r: (r.training_images, -r.figure)):
        points = result.eleven_points
        table.add_row(
            result.backbone or "",
            result.features,
            f"{result.training_images:,}",
            f"{result.figure:.1f} ({result.low:.1f}–{result.high:.1f})",
            *(["" if points is None else f"{points:.1f}"] if has_points else []),
            f"{result.elapsed_s:.1f}",
        )
    Console().print(table)


def best_result(results: Sequence[Result]) -> Result:
    """Return the best of the results with all training images."""
    return max((r for r in results if r.per_class is None), key=lambda r: r.figure)


def write_confusion(place: Path, results: Sequence[Result]) -> None:
    """Write the confusion matrix of the best features as CSV: rows are the right classes."""
    best = best_result(results)
    if not best.images.exclusive:
        raise CbirError("Images with several labels have no confusion matrix; leave it out.")
    classes = best.images.classes
    with _opened(place) as file:
        writer = csv.writer(file)
        writer.writerow(["right class", *classes])
        for name, row in zip(classes, confusion(best.scores, best.images), strict=True):
            writer.writerow([name, *row.tolist()])


def write_page(place: Path, results: Sequence[Result], name: str, figure: FigureName) -> None:
    """Write a page with the table, the plot, the confusion matrix and the worst mistakes."""
    best = best_result(results)
    images = best.images
    rows = sorted(results, key=lambda r: (r.training_images, -r.figure))
    matrix = confusion(best.scores, images) if images.exclusive else None
    environment = Environment(loader=PackageLoader(__name__), autoescape=True)
    page = environment.get_template("classification.html").render(
        name=name,
        figure=figure,
        rows=rows,
        best=best,
        has_points=any(r.eleven_points is not None for r in results),
        test=int((~images.is_train).sum()),
        chart=chart_as_svg(plot_results([as_row(r, name, "", figure) for r in results])),
        classes=images.classes,
        matrix=None if matrix is None else matrix.tolist(),
        mistakes=[_card(images, m) for m in worst_mistakes(best.scores, images, MISTAKES)],
    )
    with _opened(place) as file:
        file.write(page)


def _card(images: LabelledImages, mistake: Mistake) -> dict[str, Any]:
    path = images.paths[mistake.row]
    return {
        "image": as_data_url(draw_thumbnail(path, PICTURE_PX)),
        "name": path.name,
        "path": str(path),
        "taken_for": mistake.taken_for,
        "shows": shown_classes(mistake),
        "margin": mistake.margin,
    }


def shown_classes(mistake: Mistake) -> str:
    """Return what an image shows, in words."""
    return ", ".join(mistake.shows) or "none of them"


def _opened(place: Path) -> Any:
    """Open a report for writing; raises `CbirError` where that cannot be done."""
    try:
        return place.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise CbirError(f"{place} cannot be written: {error.strerror}.") from error
