"""What the lab measured: layer curves, a recommendation, and which classes are confused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from retrieval.evaluation.classification import Result
from retrieval.evaluation.judging import Mistake, confusion, worst_mistakes
from retrieval.evaluation.labelled import LabelledImages
from retrieval.evaluation.layer_study import SettingResult, recommend
from retrieval.evaluation.tasks import TaskName
from ui.browser.figures import figure, plain
from ui.browser.measuring_job import Classification, LabChoice, Measured
from ui.charts import plot_confusion, plot_layer_curve
from ui.classification_report import as_row, shown_classes
from ui.gallery import READERS, thumbnail_inside
from ui.layer_report import recommendation_text, setting_row, spec_text
from ui.render import printable

MISTAKES = 24
CARD_PX = 216
CURVE_PX = 320
LEGEND_ROW_PX = 26  # below the curve
KEPT_S = 600.0  # for how long a thumbnail is shown without looking at its file again
SPEC_NAME = "spec.json"
COLUMNS = {
    "size_px": "px",
    "value": "chosen by",
    "held_out": "held out",
    "held_out_low": "held out, low",
    "held_out_high": "held out, high",
}


def show(choice: LabChoice, measured: Measured) -> None:
    """Draw everything that was measured."""
    _show_failed(measured.failed)
    _show_curves(measured)
    _show_recommendation(measured)
    if measured.classification is None:
        st.caption("There is no classification here: it needs labels and splits.")
    else:
        _show_classification(choice, measured.classification)


def _show_failed(failed: list[tuple[str, str]]) -> None:
    if not failed:
        return
    images = "1 image was" if len(failed) == 1 else f"{len(failed):,} images were"
    with st.expander(f"{images} left out"):
        files, reasons = zip(*failed, strict=True)
        table = pd.DataFrame({"file": map(printable, files), "reason": map(printable, reasons)})
        st.dataframe(table, hide_index=True)


def _show_curves(measured: Measured) -> None:
    st.subheader("By layer")
    st.caption(
        "From the first taps of a network to the last; bars are 95 % intervals. Classification "
        "trains a linear model on the vectors; retrieval ranks all images by each."
    )
    for column, task in zip(st.columns(len(measured.tasks)), measured.tasks, strict=True):
        own = [result for result in measured.settings if result.task == task]
        with column:
            st.markdown(f"**{task.capitalize()}**, {own[0].figure} in per cent")
            chart = plot_layer_curve([setting_row(result) for result in own])
            lines = {(s.backbone, s.pooling, s.size_px) for s in (r.setting for r in own)}
            chart = chart.properties(height=CURVE_PX + LEGEND_ROW_PX * len(lines))
            st.altair_chart(
                chart.configure_legend(
                    orient="bottom", columns=1, rowPadding=0, direction="horizontal"
                )
            )
    with st.expander("All figures"):
        st.caption(
            "Settings are chosen by one half of the test images or queries and reported on the "
            "other, held-out half. All figures are in per cent."
        )
        st.dataframe(_table_of(measured.settings), hide_index=True)


def _table_of(results: list[SettingResult]) -> Styler:
    best_first = sorted(results, key=lambda r: (r.task, -r.chosen_by.figure))
    table = pd.DataFrame(map(setting_row, best_first)).rename(columns=COLUMNS)
    return table.style.format(precision=1, na_rep="")


def _show_recommendation(measured: Measured) -> None:
    st.subheader("Recommendation")
    task: TaskName = measured.tasks[0]
    if len(measured.tasks) > 1:
        task = st.radio("What for", measured.tasks, format_func=str.capitalize, horizontal=True)
    found = recommend(measured.settings, task)
    (st.success if found.is_better else st.info)(plain(recommendation_text(found)))
    is_whitened = any(result.setting.is_whitened for result in measured.settings)
    if is_whitened:
        st.caption("Whitened settings are shown for comparison: a store cannot have them.")
    st.download_button(
        "Download the spec", spec_text(found), SPEC_NAME, "application/json", on_click="ignore"
    )
    st.caption("With it, this command makes a new store:")
    st.code(f"cbir index PHOTOS --store NEW_STORE --spec {SPEC_NAME}", "bash", wrap_lines=True)


def _show_classification(choice: LabChoice, found: Classification) -> None:
    st.subheader("Classification")
    images = found.results[0].images
    st.caption(
        f"A linear SVM on each feature at {choice.classified_px} px, and on a colour histogram for "
        f"comparison: {len(images.classes)} classes, {int((~images.is_train).sum()):,} test images."
    )
    rows = [as_row(result, found.name, "svm", found.figure) for result in found.results]
    shown = ["backbone", "features", found.figure, "low", "high", "dimension", "training_images"]
    table = pd.DataFrame(rows)[shown].rename(
        columns={"training_images": "trained on", found.figure: f"{found.figure} %"}
    )
    st.dataframe(table.style.format(precision=1, na_rep=""), hide_index=True)
    by_title = {_title(result): result for result in found.results}
    title = st.selectbox("Look closer at", list(by_title))
    chosen = by_title[title]
    if chosen.images.exclusive:
        st.markdown("**What is taken for what**, in test images")
        matrix = confusion(chosen.scores, chosen.images)
        st.altair_chart(plot_confusion(list(map(printable, chosen.images.classes)), matrix))
    _show_mistakes(choice, chosen)


def _title(result: Result) -> str:
    return " · ".join(filter(None, (result.backbone, result.features)))


def _show_mistakes(choice: LabChoice, result: Result) -> None:
    st.markdown("**Most confident mistakes**")
    mistakes = worst_mistakes(result.scores, result.images, MISTAKES)
    if not mistakes:
        st.caption("None: all test images were recognised.")
        return
    with ThreadPoolExecutor(READERS, "thumbnail") as threads:
        paths = [str(result.images.paths[mistake.row]) for mistake in mistakes]
        folders = [str(choice.folder)] * len(paths)
        pictures = list(threads.map(_thumbnail, paths, folders))
    with st.container(horizontal=True, gap="small"):
        for place, (mistake, picture) in enumerate(zip(mistakes, pictures, strict=True)):
            # the style sheet knows cards by their key
            with st.container(border=True, width=CARD_PX, key=f"card-mistake-{place}"):
                st.html(_card(result.images, mistake, picture))


@st.cache_data(show_spinner=False, max_entries=500, ttl=KEPT_S)
def _thumbnail(path: str, folder: str) -> bytes:
    return thumbnail_inside(Path(path), Path(folder))


def _card(images: LabelledImages, mistake: Mistake, picture: bytes) -> str:
    name = images.paths[mistake.row].name
    taken, shows = printable(mistake.taken_for), printable(shown_classes(mistake))
    return figure(
        picture,
        f"{name}: taken for {taken}, shows {shows}",
        title=f"taken for {taken}",
        name=f"shows {shows} · {name}",
        look="card",
    )
