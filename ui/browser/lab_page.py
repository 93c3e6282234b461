"""Lab: which backbone, layer, pooling and size tells the classes of labelled images apart."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import streamlit as st

from indexer.choices import Pooling
from indexer.features.backbones import BACKBONES, DEFAULT_BACKBONE
from indexer.features.spec import FeatureSpec
from ui.browser import lab_results
from ui.browser.background import show_progress
from ui.browser.figures import plain
from ui.browser.measuring_job import LabChoice, MeasuringJob
from ui.browser.session import session

SIZES_PX = (160, 224, 320, 480)
KEPT = "Features that were computed are kept; measure again to continue."


def show() -> None:
    """Draw the page."""
    st.subheader("Which features tell your classes apart?")
    jobs = _jobs()
    is_running = bool(jobs) and jobs[-1].running
    _remember(jobs[-1].choice if jobs else None)
    _pick_root(is_running)
    asked = _form(is_running)
    if asked:
        choice = _choice()
        refusal = _refusal(choice)
        if refusal:
            st.error(plain(refusal))
            return
        jobs[:] = [MeasuringJob(choice)]  # earlier results are dropped, their features are kept
        st.rerun()
    if is_running:
        _watch()
    elif jobs:
        _show_outcome(jobs[-1])


@st.cache_resource
def _jobs() -> list[MeasuringJob]:
    """Return the last job; it belongs to the process, so that reloading the page loses nothing."""
    return []


def _remember(last: LabChoice | None) -> None:
    """Give the form its values on the first visit, and after a visit to another page."""
    backbones = [DEFAULT_BACKBONE] if last is None else last.backbones
    values = {
        "lab_place": "" if last is None else str(last.place),
        "lab_backbones": [name for name in backbones if name in _local_backbones()],
        "lab_poolings": list(get_args(Pooling)) if last is None else list(last.poolings),
        "lab_sizes": [FeatureSpec.size_px] if last is None else list(last.sizes_px),
        "lab_whitens": False if last is None else last.whitens,
    }
    for name, value in values.items():
        st.session_state.setdefault(name, value)


def _pick_root(is_running: bool) -> None:
    roots = [str(root) for root in session().store.roots().values()]
    st.selectbox(
        "An indexed folder",
        roots,
        index=None,
        key="lab_root",
        placeholder="choose one, or type a path below",
        on_change=_take_root,
        disabled=is_running,
    )


def _take_root() -> None:
    if st.session_state.lab_root is not None:
        st.session_state.lab_place = st.session_state.lab_root


def _form(is_running: bool) -> bool:
    """Draw the settings; returns whether they are to be measured."""
    with st.form("lab", border=False):
        st.text_input(
            "Labelled images on this machine",
            key="lab_place",
            placeholder="/home/me/birds",
            help="A folder with a folder of images for each class, PASCAL VOC, a manifest (.json), "
            "or a CSV file with the columns path and label.",
        )
        first, second, third = st.columns([3, 3, 2])
        first.multiselect(
            "Networks",
            _local_backbones(),
            key="lab_backbones",
            help="Those whose weights are on this machine.",
        )
        second.multiselect("Poolings", get_args(Pooling), key="lab_poolings")
        third.multiselect("Sizes", SIZES_PX, key="lab_sizes", format_func=lambda px: f"{px} px")
        st.toggle("Try PCA whitening, too", key="lab_whitens")
        return st.form_submit_button("Measure", type="primary", disabled=is_running)


def _local_backbones() -> list[str]:
    return [name for name, backbone in BACKBONES.items() if backbone.find_weights()]


def _choice() -> LabChoice:
    values = st.session_state
    return LabChoice(
        Path(values.lab_place.strip()).expanduser(),
        tuple(values.lab_backbones),
        tuple(values.lab_poolings),
        tuple(sorted(values.lab_sizes)),
        values.lab_whitens,
    )


def _refusal(choice: LabChoice) -> str:
    """Return why a choice cannot be measured; a full path never means images to be fetched."""
    if not choice.place.is_absolute():
        return "Give the full path of labelled images, such as /home/me/birds."
    if not choice.place.exists():
        return f"There is no folder or file {choice.place}."
    if not (choice.backbones and choice.poolings and choice.sizes_px):
        return "Choose at least one network, one pooling and one size."
    return ""


@st.fragment(run_every=1.0)
def _watch() -> None:
    job = _jobs()[-1]
    if not job.running:
        st.rerun()
    show_progress(job, job.choice.place.name, KEPT)


def _show_outcome(job: MeasuringJob) -> None:
    name = job.choice.place.name
    if job.error:
        st.error(plain(job.error))
    elif job.stopped:
        st.warning(f"{plain(name)}: stopped. {KEPT}")
    elif job.measured is None:
        st.error(
            f"{plain(name)}: the measuring ended unexpectedly; the terminal of cbir ui says why."
        )
    else:
        lab_results.show(job.choice, job.measured)
