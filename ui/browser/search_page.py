"""Search: the hits of the query, page by page."""

from __future__ import annotations

import time

import streamlit as st

from indexer.errors import CbirError
from retrieval.query import Hit
from ui.browser import chips, further, picking, results, state
from ui.browser.figures import plain
from ui.browser.session import all_ids, allowed_ids
from ui.further import UNLIKE

SAMPLES = 24


def show() -> None:
    """Draw the page."""
    chips.show(with_further=state.has_query())
    if not state.has_query():
        invite()
        return
    try:
        query = state.make_whole_query()
        if query.allowed is not None and not len(query.allowed):
            st.info("No image matches the filters. Remove one of them.")
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
    _heading(len(hits), page, pages, took_ms, by_ranks=bool(query.fused))
    first = (page - 1) * state.PAGE_HITS
    shown = hits[first : first + state.PAGE_HITS]
    picking.show(hits, shown)
    _show_hits(shown, confident=hits[0].verdict != "weak")
    _pager(page, pages, len(hits) == state.DEPTHS[0], "below")


def _show_hits(hits: list[Hit], *, confident: bool) -> None:
    """Show the hits of a page, a line between those that count as found and the rest."""
    found = [hit for hit in hits if hit.verdict != "weak"]
    weak = [hit for hit in hits if hit.verdict == "weak"]
    if found:
        results.show(found, "hit", actions=_actions(), marks=(_plus(), _minus()), pickable=True)
    if not weak:
        return
    if found:
        st.divider()
    if confident:
        st.caption("Weak matches: chance alone brings some images this close.")
    else:
        st.info("No confident match: these are the nearest images, no more.")
    results.show(weak, "hit", actions=_actions(), marks=(_plus(), _minus()), pickable=True)


def invite() -> None:
    """Explain how to start, and offer images of the collection to start with."""
    st.subheader("Where have I seen this before?")
    st.write(
        "Drop, choose or paste an image in the side panel; then drag a box on it to search for "
        "that part alone. Or start with an image of the collection:"
    )
    wanted = state.wanted_images()
    ids = allowed_ids(wanted).ids if wanted else all_ids()
    if not len(ids):
        st.info("No image matches the filters." if wanted else "The collection is empty.")
        return
    chosen = ids[:: max(1, len(ids) // SAMPLES)][:SAMPLES]
    results.show(results.as_hits(chosen.tolist()), "sample", score=lambda _hit: "", opens=False)


def _heading(count: int, page: int, pages: int, took_ms: float, *, by_ranks: bool) -> None:
    left, right = st.columns([3, 2], vertical_alignment="center")
    shown = f"{count:,} matches" if count < state.DEPTHS[0] else f"Top {count:,} matches"
    scores = " · scores are made of ranks: 1 is first in all rankings" if by_ranks else ""
    left.caption(f"{shown} · {took_ms:.0f} ms{scores}")
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
    actions = [results.USE]
    if st.session_state.get("search") == "region":
        actions.append(
            results.Action("Search this region", "Search with the matched box", _take_part)
        )
    return actions


def _take_part(hit: Hit) -> None:
    state.take_image(hit.image_id, hit.region)


def _plus() -> results.Action:
    return results.Action(
        "+",
        "Find what is like this photo, too; again to take that back",
        lambda hit: _ask_with(hit, 1.0),
        lambda hit: st.session_state.further.get(hit.image_id, 0) > 0,
    )


def _minus() -> results.Action:
    """Return the button to be unlike a photo: a word alone has nothing to be taken away from."""
    alone = st.session_state.text is not None and not any(w > 0 for w in further.weights().values())
    return results.Action(
        "−",
        "Add a photo with + first: nothing can be taken away from a word alone"
        if alone
        else "Find what is unlike this photo; again to take that back",
        lambda hit: _ask_with(hit, -UNLIKE),
        lambda hit: st.session_state.further.get(hit.image_id, 0) < 0,
        disabled=alone,
    )


def _ask_with(hit: Hit, weight: float) -> None:
    state.to_first_page()
    if st.session_state.further.get(hit.image_id) == weight:
        further.drop(hit.image_id)
    else:
        further.add(hit.image_id, weight)
