"""Search: the hits of the query."""

from __future__ import annotations

import time

import streamlit as st

from indexer.errors import CbirError
from retrieval.query import Hit
from ui import answers
from ui.answers import DEPTHS, as_hits
from ui.asked import Asked
from ui.browser import asking, listing
from ui.browser.figures import plain
from ui.browser.session import require_wanted, session
from ui.shown import Shown

SAMPLES = 24


def show() -> None:
    """Draw the page."""
    shown, asked = session(), asking.asked()
    if not asked.has_query:
        invite(shown, asked)
        return
    started = time.perf_counter()
    try:
        with st.spinner("Searching …", show_time=True):
            hits = answers.search(shown, asked, DEPTHS[0], require_wanted)
    except CbirError as error:
        st.error(plain(str(error)))
        return
    took_ms = 1000 * (time.perf_counter() - started)
    if not hits:
        st.info("No image matches the filters. Remove one of them.")
        return
    listing.show(
        shown,
        asked,
        hits[: listing.FIRST],
        "hits",
        heading=_heading(hits, took_ms),
        note=_note(asked, hits),
        more="hits" if len(hits) > listing.FIRST else None,
    )


def invite(shown: Shown, asked: Asked) -> None:
    """Explain how to start, and offer images of the collection to start with."""
    allowed = answers.allowed_of(shown, asked)
    ids = shown.all_ids() if allowed is None else allowed.ids
    if not len(ids):
        st.info("The collection is empty." if allowed is None else "No image matches the filters.")
        return
    chosen = ids[:: max(1, len(ids) // SAMPLES)][:SAMPLES]
    listing.show(
        shown,
        asked,
        as_hits(shown, chosen.tolist()),
        "samples",
        heading="Where have I seen this before?",
        note="Drop a picture anywhere on this page, or start with one of these.",
        asks=True,
        scores=False,
    )


def _heading(hits: list[Hit], took_ms: float) -> str:
    """Return how many hits there are; as many as were asked for means that there may be more."""
    count = len(hits)
    if count >= DEPTHS[0]:
        return f"Best matches · {took_ms:.0f} ms"
    return f"1 match · {took_ms:.0f} ms" if count == 1 else f"{count:,} matches · {took_ms:.0f} ms"


def _note(asked: Asked, hits: list[Hit]) -> str:
    if hits[0].verdict == "weak":
        return "No confident match: these are the nearest images, no more."
    if len(asked.box) > 1 or (asked.has_picture and (asked.also_text or asked.feature == "both")):
        return "Scores are made of ranks: 1 is first in all rankings."
    return ""
