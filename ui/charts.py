"""Charts of what `cbir eval` measures, for the page and as PNG or SVG files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd

from indexer.errors import CbirError
from indexer.features.registry import get_backbone

SUFFIXES = (".png", ".svg")
CELL_PX = 24  # of a confusion matrix
SHADES = alt.Scale(type="sqrt", domain=[0, 1], range=[0.04, 1])
LABELLED = 20  # columns of it: of more, labels that would overlap are left out
GREY = alt.value("gray")  # it is read on light and on dark pages

Chart = alt.LayerChart | alt.FacetChart


def plot_results(rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Return figures of `cbir eval classify` with their intervals, or learning curves of them.

    `rows` are as `as_row` makes them; with several numbers of training images they become curves.
    """
    figure = next(name for name in ("accuracy", "mAP", "AUC") if name in rows[0])
    table = pd.DataFrame(
        {
            "features": " · ".join(filter(None, (row["backbone"], row["features"]))),
            "figure": row[figure],
            "low": row["low"],
            "high": row["high"],
            "images": row["training_images"],
        }
        for row in rows
    )
    if table["images"].nunique() > 1:
        return _curves(table, figure)
    return _bars(table, figure)


def plot_layers(rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Return the layer curves of all tasks, side by side.

    `rows` are as `setting_row` makes them.
    """
    sized = plot_layer_curve(rows).properties(width=480, height=360)
    faceted: Chart = sized.facet(column=alt.Column("task:N", title=None)).resolve_scale(
        y="independent"
    )
    return faceted


def plot_layer_curve(rows: Sequence[Mapping[str, Any]]) -> Chart:
    """Return the figure by tap, a line for each way to make vectors of it; whitened ones dashed.

    `rows` are as `setting_row` makes them, of one task if the chart is not split by task.
    """
    table = pd.DataFrame(
        {
            "tap": row["tap"],
            "figure": row["value"],
            "low": row["low"],
            "high": row["high"],
            "task": f"{row['task']}, {row['figure']} in per cent",
            "setting": name,
            "vectors": "whitened" if row["whitened"] else "not whitened",
        }
        for row, name in zip(rows, _setting_names(rows), strict=True)
    )
    order = list(dict.fromkeys(tap for row in rows for tap in get_backbone(row["backbone"]).taps))
    base = alt.Chart(table).encode(
        x=alt.X("tap:N", sort=order, title=None, axis=alt.Axis(labelAngle=0)),
        color=alt.Color(
            "setting:N",
            title="dashed: whitened" if table["vectors"].nunique() > 1 else None,
            scale=alt.Scale(scheme="category20"),
            legend=alt.Legend(labelLimit=400, symbolLimit=60),
        ),
    )
    lines = base.mark_line(point=True).encode(
        y=alt.Y("figure:Q", title=None, scale=alt.Scale(zero=False)),
        strokeDash=alt.StrokeDash("vectors:N", legend=None),
        tooltip=["tap", "setting", "vectors", "figure", "low", "high"],
    )
    return alt.layer(lines, _intervals(base, "y"))


def _setting_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return how vectors were made of each tap, without what is the same in all rows."""
    has_several = {name: len({row[name] for row in rows}) > 1 for name in ("backbone", "size_px")}
    return [
        " ".join(
            (
                *([row["backbone"]] if has_several["backbone"] else []),
                row["pooling"] or "fc",
                *([f"{row['size_px']} px"] if has_several["size_px"] else []),
            )
        )
        for row in rows
    ]


def plot_confusion(classes: Sequence[str], matrix: npt.NDArray[np.int64]) -> Chart:
    """Return a heat map of how many images of each class (rows) were taken for which (columns).

    The colour is the share of the row, so that classes of any size compare.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    table = pd.DataFrame(
        {"shows": right, "taken for": taken, "images": int(count), "share": float(share)}
        for right, counts, row in zip(classes, matrix, shares, strict=True)
        for taken, count, share in zip(classes, counts, row, strict=True)
    )
    order = list(classes)
    axis = alt.Axis(labelAngle=-60, orient="top", labelOverlap=len(classes) > LABELLED)
    base = alt.Chart(table).encode(
        x=alt.X("taken for:N", sort=order, axis=axis),
        y=alt.Y("shows:N", sort=order),
        tooltip=["shows", "taken for", "images", alt.Tooltip("share", format=".0%")],
    )
    cells = base.mark_rect(color="#0f766e").encode(
        opacity=alt.Opacity("share:Q", legend=None, scale=SHADES)
    )
    is_dark = alt.datum["share"] > 0.3
    counts = base.transform_filter("datum.images > 0").mark_text(fontSize=11)
    return alt.layer(
        cells,
        counts.encode(text="images:Q", color=alt.condition(is_dark, alt.value("white"), GREY)),
    ).properties(height=alt.Step(CELL_PX))


def _bars(table: pd.DataFrame, figure: str) -> Chart:
    order = table.sort_values("figure")["features"].tolist()
    base = alt.Chart(table).encode(y=alt.Y("features:N", sort=order, title=None))
    bars = base.mark_bar(color="#0f766e").encode(x=alt.X("figure:Q", title=f"{figure} in per cent"))
    return alt.layer(bars, _intervals(base, "x")).properties(width=520)


def _curves(table: pd.DataFrame, figure: str) -> Chart:
    base = alt.Chart(table).encode(
        x=alt.X("images:Q", scale=alt.Scale(type="log", nice=False), title="training images"),
        color=alt.Color(
            "features:N",
            title=None,
            sort=alt.EncodingSortField("figure", "max", "descending"),
            scale=alt.Scale(scheme="category20"),
            legend=alt.Legend(labelLimit=400, symbolLimit=60),
        ),
    )
    lines = base.mark_line(point=True).encode(
        y=alt.Y("figure:Q", title=f"{figure} in per cent", scale=alt.Scale(zero=False))
    )
    return alt.layer(lines, _intervals(base, "y")).properties(width=520, height=420)


def _intervals(base: alt.Chart, axis: str) -> alt.Chart:
    """Return rules from the low to the high end of each interval, along an axis."""
    ends = {axis: alt.X("low:Q") if axis == "x" else alt.Y("low:Q"), f"{axis}2": "high:Q"}
    rule: alt.Chart = base.mark_rule(strokeWidth=1.5, opacity=0.7).encode(**ends)
    return rule


def save_chart(chart: Chart, place: Path) -> None:
    """Write a chart as PNG or SVG, by the suffix; raises `CbirError`."""
    if place.suffix.lower() not in SUFFIXES:
        raise CbirError(f"Plots are written as .png or .svg, not as {place.suffix or place.name}.")
    data = _rendered(chart, "png" if place.suffix.lower() == ".png" else "svg")
    try:
        place.write_bytes(data)
    except OSError as error:
        raise CbirError(f"{place} cannot be written: {error.strerror}.") from error


def chart_as_svg(chart: Chart) -> str:
    """Return a chart as SVG, to be put into a page; raises `CbirError`."""
    return _rendered(chart, "svg").decode()


def _rendered(chart: Chart, form: Literal["png", "svg"]) -> bytes:
    stream = io.BytesIO() if form == "png" else io.StringIO()
    try:
        chart.save(stream, format=form, scale_factor=2 if form == "png" else 1)
    except (ImportError, ValueError) as error:
        if "vl_convert" not in str(error) and "vl-convert" not in str(error):
            raise
        raise CbirError('Plots need more libraries: pip install "cbir[lab]"') from error
    made = stream.getvalue()
    return made if isinstance(made, bytes) else made.encode()
