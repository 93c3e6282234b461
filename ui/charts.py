"""Charts of what `cbir eval` measures, for the page and as PNG or SVG files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import altair as alt
import pandas as pd

from indexer.errors import CbirError
from indexer.features.registry import get_backbone

SUFFIXES = (".png", ".svg")


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
    """Return the layer curves: the figure by tap, a line for each way to make vectors of it.

    `rows` are as `setting_row` makes them.
    """
    table = pd.DataFrame(
        {
            "tap": row["tap"],
            "figure": row["value"],
            "low": row["low"],
            "high": row["high"],
            "task": f"{row['task']}, {row['figure']} in per cent",
            "setting": " ".join(
                (
                    row["backbone"],
                    row["pooling"] or "fc",
                    f"{row['size_px']} px",
                    *(["whitened"] if row["whitened"] else []),
                )
            ),
        }
        for row in rows
    )
    order = list(dict.fromkeys(tap for row in rows for tap in get_backbone(row["backbone"]).taps))
    base = alt.Chart(table).encode(
        x=alt.X("tap:N", sort=order, title=None, axis=alt.Axis(labelAngle=0)),
        color=alt.Color(
            "setting:N",
            title=None,
            scale=alt.Scale(scheme="category20"),
            legend=alt.Legend(labelLimit=400, symbolLimit=60),
        ),
    )
    lines = base.mark_line(point=True).encode(
        y=alt.Y("figure:Q", title=None, scale=alt.Scale(zero=False))
    )
    both = alt.layer(lines, _intervals(base, "y")).properties(width=480, height=360)
    faceted: Chart = both.facet(column=alt.Column("task:N", title=None)).resolve_scale(
        y="independent"
    )
    return faceted


def _bars(table: pd.DataFrame, figure: str) -> Chart:
    order = table.sort_values("figure")["features"].tolist()
    base = alt.Chart(table).encode(y=alt.Y("features:N", sort=order, title=None))
    bars = base.mark_bar(color="#0f766e").encode(x=alt.X("figure:Q", title=f"{figure} in per cent"))
    return alt.layer(bars, _intervals(base, "x")).properties(width=520)


def _curves(table: pd.DataFrame, figure: str) -> Chart:
    base = alt.Chart(table).encode(
        x=alt.X("images:Q", scale=alt.Scale(type="log"), title="training images"),
        color=alt.Color("features:N", title=None),
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
