"""Search: the hits of the query, page by page."""

from __future__ import annotations

import time

import streamlit as st

from indexer.errors import CbirError
from retrieval.query import Hit
from ui.browser import results, state
from ui.browser.figures import plain

SAMPLES = 24


def show() -> None:
    """Draw the page."""
    if not state.has_query():
        invite()
        return
    try:
        query = state.make_query()
        if query.allowed is not None and not query.allowed:
            st.info("No image matches the filters. Take one of them away.")
            return
        started = time.perf_counter()
        with st.spinner("Searching …", show_time=True):
            hits = state.search(query)
        took_ms = 1000 * (time.perf_counter() - started)
    except CbirError as error:
        st.error(plain(str(error)))
        return
    if not hits:
        st.info("Nothing was found.")
        return
    pages = -(-len(hits) // state.PAGE_HITS)
    st.session_state.page = page = min(st.session_state.page, pages)
    _heading(len(hits), page, pages, took_ms)
    first = (page - 1) * state.PAGE_HITS
    results.show(hits[first : first + state.PAGE_HITS], "hit", actions=_actions())
    _pager(page, pages, len(hits) == state.DEPTHS[0], "below")


def invite() -> None:
    """Say how to begin, and offer images of the collection to begin with."""
    st.subheader("Where have I seen this before?")
    st.write(
        "Drop, pick or paste an image in the panel at the side; then drag a box on it to look for "
        "that part alone. Or begin with an image of the collection:"
    )
    desk = state.desk()
    wanted = state.wanted_images()
    ids = sorted(state.allowed_ids(desk, wanted)) if wanted else state.all_ids(desk)
    if not ids:
        st.info("No image matches the filters." if wanted else "The collection is empty.")
        return
    chosen = ids[:: max(1, len(ids) // SAMPLES)][:SAMPLES]
    results.show(results.as_hits(chosen), "sample", score=lambda _hit: "", opens=False)


def _heading(count: int, page: int, pages: int, took_ms: float) -> None:
    left, right = st.columns([3, 2], vertical_alignment="center")
    more = "at least " if count == state.DEPTHS[0] else "the nearest "
    shown = f"{count:,}" if count < state.DEPTHS[0] else f"{more}{count:,}"
    left.caption(f"{shown} images by similarity, found in {took_ms:.0f} ms.")
    with right:
        _pager(page, pages, count == state.DEPTHS[0], "above")


def _pager(page: int, pages: int, more: bool, where: str) -> None:
    """Draw the buttons to turn pages; `more` hits than these can be asked for."""
    if pages < 2:
        return
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        _turn("Previous", page - 1, page > 1, where)
        st.markdown(f"Page {page} of {pages}", width="content")
        _turn("Next", page + 1, page < pages or more, where)


def _turn(label: str, page: int, possible: bool, where: str) -> None:
    st.button(label, key=f"{label}-{where}", on_click=_go, args=(page,), disabled=not possible)


def _go(page: int) -> None:
    st.session_state.page = page


def _actions() -> list[results.Action]:
    def with_box(hit: Hit) -> None:
        state.take_image(hit.image_id, hit.region)

    actions = [results.USE]
    if st.session_state.get("search") == "region":
        actions.append(results.Action("Find its box", "Search with the box on it", with_box))
    return actions
