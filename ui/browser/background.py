"""How far long work is, on a page."""

from __future__ import annotations

import streamlit as st

from ui.browser.figures import plain
from ui.jobs import Job


def show_progress(job: Job, name: str, on_stop: str) -> None:
    """Draw how far a job is, and a button that stops it; `on_stop` says what is kept then."""
    step = job.step
    left = "" if step.left_s is None else f", {step.left_s:.0f} s left"
    failed = f", {step.failed} failed" if step.failed else ""
    count = f" {step.done:,} of {step.total:,}{failed}{left}" if step.total else " …"
    st.progress(step.share, f"{plain(name)}: {plain(step.name)}{count}")
    st.button("Stop", on_click=job.stop, help=on_stop)
