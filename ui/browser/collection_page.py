"""Collection: what is in it, what failed, its map; and adding a folder."""

from __future__ import annotations

import contextlib
from pathlib import Path

import altair as alt
import pandas as pd
import streamlit as st

from indexer.errors import CbirError
from indexer.store.statistics import Census
from retrieval.collection_map import read_map
from retrieval.kept_map import CollectionMap
from ui.answers import as_hits
from ui.browser import asking, listing
from ui.browser.background import show_progress
from ui.browser.figures import plain
from ui.browser.session import session
from ui.indexing_job import IndexingJob
from ui.map_job import MapJob
from ui.render import printable
from ui.running_jobs import JOBS, JobRunningError

CHOSEN = 24
DRAWN = 3_000  # points at most
CAMERAS = 12


def show() -> None:
    """Draw the page."""
    counts = session().census()
    _numbers(counts)
    _add_folder()
    _when_and_with_what(counts)
    _failed(counts)
    _map(counts)


def _numbers(counts: Census) -> None:
    with st.container(horizontal=True):
        st.metric("Images", f"{counts.images:,}", border=True)
        st.metric("Failed files", f"{len(counts.failed):,}", border=True)
        dates = "unknown"
        if counts.first and counts.last:
            first, last = counts.first.year, counts.last.year
            dates = str(first) if first == last else f"{first} to {last}"
        st.metric("Taken", dates, border=True)
        st.metric("Cameras", f"{len(counts.cameras):,}", border=True)
    roots = session().store.roots().values()
    st.caption("Folders: " + ", ".join(plain(str(root)) for root in roots))


def _add_folder() -> None:
    st.subheader("Add a folder, or bring one up to date")
    running = JOBS.is_running("indexing")
    with st.form("add", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        folder = st.text_input(
            "Folder on this machine", placeholder="/home/me/photos", disabled=running
        )
        asked = st.form_submit_button("Index it", disabled=running)
    if asked:
        place = Path(folder.strip()).expanduser()
        if not folder.strip() or not place.is_absolute():
            st.error("Give the full path of a folder, such as /home/me/photos.")
        elif not place.is_dir():
            st.error(f"There is no folder {plain(str(place))}.")
        else:
            engine = session().engine
            try:
                JOBS.start("indexing", lambda: IndexingJob(engine, place))
            except CbirError as error:
                st.error(plain(str(error)))
            else:
                st.rerun()
    job = JOBS.last("indexing", IndexingJob)
    if job is not None:
        _watch(job)


@st.fragment(run_every=1.0)
def _watch(job: IndexingJob) -> None:
    folder = job.places[0].name
    name = plain(folder)
    if job.running:
        show_progress(job, folder, "What is indexed stays; index it again to continue.")
        return
    if not st.session_state.get(f"seen-{id(job)}"):
        st.session_state[f"seen-{id(job)}"] = True
        st.rerun()  # the numbers above have changed
    if job.error:
        st.error(plain(job.error))
    elif job.report is None:
        st.error(f"{name}: the indexing ended unexpectedly; the terminal of cbir ui says why.")
    elif job.stopped:
        done = job.report.added + job.report.updated
        st.warning(f"{name}: stopped; {done:,} images are safe.")
    else:
        report = job.report
        st.success(
            f"{name}: {report.added:,} added, {report.updated:,} updated, "
            f"{report.unchanged:,} unchanged, {report.removed:,} removed, "
            f"{len(report.failed):,} failed in {report.elapsed_s:.1f} s."
        )


def _when_and_with_what(counts: Census) -> None:
    left, right = st.columns(2)
    if counts.years:
        with left:
            st.subheader("When")
            years = pd.DataFrame({"year": map(str, counts.years), "images": counts.years.values()})
            st.bar_chart(years, x="year", y="images", height=240)
    if counts.cameras:
        with right:
            st.subheader("Cameras")
            names = [printable(name) for name in counts.cameras]
            table = pd.DataFrame({"camera": names, "images": counts.cameras.values()})
            st.dataframe(table.head(CAMERAS), hide_index=True, height="content")
    if counts.undated and counts.years:
        st.caption(f"{counts.undated:,} images carry no date.")


def _failed(counts: Census) -> None:
    if not counts.failed:
        return
    st.subheader("Files that could not be read")
    files, reasons = zip(*counts.failed, strict=True)
    table = pd.DataFrame({"file": map(printable, files), "reason": map(printable, reasons)})
    st.dataframe(table, hide_index=True)


def _map(counts: Census) -> None:
    st.subheader("Map")
    if counts.images < 10:
        st.caption("A map needs at least 10 images.")
        return
    st.caption("Similar images lie close together. Drag a frame, or click a point.")
    if not st.toggle("Draw the map", key="draw_map", on_change=_start_map):
        return
    found = _current_map()
    if found is None:
        _lay_out_map()
        return
    found = found.spread(DRAWN)
    chosen = _chart(found)
    if chosen:
        st.caption(
            f"{len(chosen):,} images chosen"
            + (f", {CHOSEN} shown." if len(chosen) > CHOSEN else ".")
        )
        shown = session()
        hits = as_hits(shown, chosen[:CHOSEN])
        listing.show(shown, asking.asked(), hits, "map-chosen", scores=False, with_query=False)


def _current_map() -> CollectionMap | None:
    """Return the map of the last commit: as it is kept, or as the last job made it."""
    kept = read_map(session().engine.collection)
    job = JOBS.last("map", MapJob)
    made = job.found if job is not None else None
    return made if kept is None and made and made.commits == session().store.commits() else kept


def _start_map() -> None:
    engine = session().engine
    if st.session_state.draw_map and _current_map() is None:
        with contextlib.suppress(JobRunningError):  # another visitor was faster: that one is shown
            JOBS.start("map", lambda: MapJob(engine))


def _lay_out_map() -> None:
    """Draw how far the map is, or how the last attempt ended and a button that starts it."""
    job = JOBS.last("map", MapJob)
    if job is not None and job.running:
        _watch_map(job)
        return
    if job is not None and job.error:
        st.error(plain(job.error))
    st.button("Lay out the map", on_click=_start_map)


@st.fragment(run_every=1.0)
def _watch_map(job: MapJob) -> None:
    if not job.running:
        st.rerun()
    show_progress(job, "Map", "Nothing of the map is kept.")


def _chart(found: CollectionMap) -> list[int]:
    """Draw the map and return the ids of the images that are chosen on it."""
    infos = session().store.image_infos(found.image_ids.tolist())
    points = pd.DataFrame({"id": found.image_ids, "x": found.points[:, 0], "y": found.points[:, 1]})
    points["name"] = [printable(infos[i].path.name) if i in infos else "" for i in points["id"]]
    frame = alt.selection_interval(name="frame", empty=False)
    point = alt.selection_point(name="point", fields=["id"], empty=False)
    margin = alt.Scale(padding=12, zero=False)  # px, so that a frame can go round every point
    chart = (
        alt.Chart(points)
        .mark_circle(size=40, opacity=0.65)
        .encode(
            x=alt.X("x", axis=None, scale=margin),
            y=alt.Y("y", axis=None, scale=margin),
            color=alt.condition(point | frame, alt.value("#ff3b30"), alt.value("#8888aa")),
            tooltip=["name"],
        )
        .add_params(frame, point)
        .properties(height=460)
        .configure_view(strokeWidth=0)
    )
    event = st.altair_chart(chart, on_select="rerun", key="map")
    selection = event.selection if event else {}
    picked = [int(row["id"]) for row in selection.get("point", []) or []]
    if picked:
        return picked
    frame_ranges = selection.get("frame") or {}
    inside = pd.Series(True, index=points.index)
    for axis in ("x", "y"):
        if axis in frame_ranges:
            inside &= points[axis].between(*frame_ranges[axis])
    return [int(i) for i in points["id"][inside]] if frame_ranges else []
