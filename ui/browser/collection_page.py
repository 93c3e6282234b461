"""Collection: its photos and ways to browse them, its map, its files with problems, and jobs."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import streamlit as st

from indexer.store.statistics import Census
from retrieval.collection_map import LEAST_IMAGES
from retrieval.kept_map import read_kept
from ui import answers
from ui.answers import as_hits
from ui.browser import asking, components, listing
from ui.browser.figures import plain
from ui.browser.session import session
from ui.drawn_map import drawn_map
from ui.file_problems import problems_of
from ui.map_job import MapJob
from ui.printable import printable
from ui.running_jobs import JOBS, JobRunningError
from ui.scripts import script_path
from ui.shown import Shown

EMPTY = "The collection has no image yet. Jobs adds a folder, and shows how far it is."
PART = "show"  # the parameter of the address


def show() -> None:
    """Draw the page."""
    ended = JOBS.ended  # before what they change is looked at
    shown = session()
    counts = shown.census()
    part = st.query_params.get(PART, "")
    unknown = "" if not part or part in PARTS else part
    part = part if part in PARTS else "photos"
    components.collection(
        {
            "view": part,
            "facts": facts_of(counts),
            "problems": len(problems_of(shown)),
            "version": shown.store.commits(),
            "ended": ended,
        }
    )
    if unknown:
        st.info(plain(f"The collection has no part called {unknown}. These are its photos."))
    PARTS[part](shown, counts)


def facts_of(counts: Census) -> list[str]:
    """Return the numbers of a collection as the parts of a line."""
    facts = [_counted(counts.images, "image")]
    if counts.failed:
        facts.append(f"{len(counts.failed):,} failed")
    if counts.first and counts.last:
        first, last = counts.first.year, counts.last.year
        facts.append(str(first) if first == last else f"{first} to {last}")
    if counts.cameras:
        facts.append(_counted(len(counts.cameras), "camera"))
    return facts


def _counted(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"


def _photos(shown: Shown, counts: Census) -> None:
    asked = asking.asked()
    ids = answers.in_order(shown, asked)
    if not len(ids):
        st.info("No image passes the filters." if counts.images else EMPTY)
        return
    heading = _counted(len(ids), "photo")
    listing.show(
        shown,
        asked,
        as_hits(shown, ids[: listing.FIRST].tolist()),
        f"photos-{shown.store.commits()}",
        heading=heading if len(ids) == counts.images else f"{heading} of {counts.images:,}",
        note="newest first",
        more="images" if len(ids) > listing.FIRST else None,
        scores=False,
        with_query=False,
    )


def _map(shown: Shown, counts: Census) -> None:
    drawn = drawn_map(shown)
    if drawn is None:
        _go_on_with_map(shown)
    components.collection_map(
        {
            "ready": drawn is not None,
            "enough": counts.images >= LEAST_IMAGES,
            "version": shown.store.commits(),
            "script": script_path("map"),
        }
    )


def _go_on_with_map(shown: Shown) -> None:
    """Bring a map that is kept up to date: new images are placed in it. Others are asked for."""
    job = JOBS.last("map", MapJob)
    ended_badly = job is not None and (job.stopped or bool(job.error))
    if ended_badly or JOBS.is_running("map") or read_kept(shown.store.derived) is None:
        return
    with contextlib.suppress(JobRunningError):  # another visitor was faster
        JOBS.start("map", lambda: MapJob(shown.engine))


def _files(shown: Shown, _counts: Census) -> None:
    components.files({"version": shown.store.commits()})


def _jobs(shown: Shown, _counts: Census) -> None:
    roots = shown.store.roots().values()
    components.jobs({"folders": [printable(root) for root in roots]})


PARTS: dict[str, Callable[[Shown, Census], None]] = {
    "photos": _photos,
    "map": _map,
    "files": _files,
    "jobs": _jobs,
}
