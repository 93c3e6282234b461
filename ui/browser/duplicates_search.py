"""Searching for duplicates on their page: the button, how far it is, and how it ended."""

from __future__ import annotations

import contextlib

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from indexer.store.layout import DUPLICATES
from ui.answers import allowed_of
from ui.browser import asking
from ui.browser.background import show_progress
from ui.browser.figures import plain
from ui.browser.session import session
from ui.duplicates_job import DuplicatesJob
from ui.running_jobs import JOBS, JobRunningError

KEPT = "What was compared is kept; search again to continue."


def is_running() -> bool:
    """Whether a search is at work."""
    return JOBS.is_running("duplicates")


def has_searched() -> bool:
    """Whether there is anything to show of a search."""
    return session().store.derived.exists(DUPLICATES)


def show(row: DeltaGenerator) -> None:
    """Draw the button that searches, or how far a search is, and how the last one ended."""
    job = JOBS.last("duplicates", DuplicatesJob)
    if job is not None and job.running:
        _watch(job)
        return
    label = "Search again" if has_searched() else "Search for duplicates"
    row.button(
        label,
        type="secondary" if has_searched() else "primary",
        on_click=_start,
        help="Compares photos that are new, also those that the filters leave only.",
    )
    if job is not None:
        _show_outcome(job)


def _start() -> None:
    shared = session()
    allowed = allowed_of(shared, asking.asked())
    with contextlib.suppress(JobRunningError):  # another visitor was faster: that one is shown
        JOBS.start("duplicates", lambda: DuplicatesJob(shared.engine, allowed))


@st.fragment(run_every=1.0)
def _watch(job: DuplicatesJob) -> None:
    if not job.running:
        st.rerun()
    show_progress(job, "Duplicates", KEPT)


def _show_outcome(job: DuplicatesJob) -> None:
    if job.error:
        st.error(plain(job.error))
    elif job.stopped:
        st.warning(f"Stopped. {KEPT}")
    elif job.found is None:
        st.error("The search ended unexpectedly; the terminal of cbir ui says why.")
    elif job.found.unread:
        count = len(job.found.unread)
        st.caption(f"{count:,} photos cannot be read; only their bytes were compared.")
