"""The first page, where there is no store yet: it offers to index a folder."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from indexer.errors import CbirError
from ui.browser.figures import plain
from ui.indexing_job import IndexingJob, first_index
from ui.running_jobs import JOBS

WIDTH_PX = 720
PATIENCE_S = 5.0


def show(watched_at: StreamlitPage) -> None:
    """Draw the page; the page `watched_at` shows how far the indexing is."""
    place = Path(os.environ["CBIR_STORE"])
    with st.container(width=WIDTH_PX):
        st.title("Where have I seen this before?")
        st.write(
            "Point cbir at a folder of photos: it finds, in milliseconds, where you have seen an "
            "image, or a part of it, before. Nothing leaves this machine."
        )
        with st.form("first", border=False):
            folder = st.text_input("Folder with photos", placeholder="/home/me/photos")
            asked = st.form_submit_button("Index it", type="primary")
        st.caption(f"The index will be at {plain(str(place))}; the photos stay as they are.")
        if asked:
            _start(place, folder.strip(), watched_at)
            return
        job = JOBS.last("indexing", IndexingJob)
        if job is not None:
            job.wait(PATIENCE_S)  # it has deleted its store, and is about to end
        if job is not None and job.error:
            st.error(plain(job.error))


def _start(place: Path, folder: str, watched_at: StreamlitPage) -> None:
    photos = Path(folder).expanduser()
    if not folder or not photos.is_absolute():
        st.error("Give the full path of a folder, such as /home/me/photos.")
    elif not photos.is_dir():
        st.error(f"There is no folder {plain(folder)}.")
    else:
        try:
            JOBS.start("indexing", lambda: first_index(place, photos))
        except CbirError as error:
            st.error(plain(str(error)))
            return
        st.switch_page(watched_at, query_params={"show": "jobs"})
