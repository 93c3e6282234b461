"""Teach: label hits right or wrong, and the collection is re-ranked at once."""

from __future__ import annotations

import time

import streamlit as st

from indexer.errors import CbirError
from retrieval.labels import dump_labels, load_labels
from retrieval.query import Hit
from ui.browser import results, state
from ui.browser.figures import plain
from ui.browser.results import Action
from ui.browser.search_page import invite

SHOWN = 24
SUGGESTED = 6


def show() -> None:
    """Draw the page."""
    if not state.has_query():
        invite()
        return
    labels: dict[int, bool] = st.session_state.labels
    query = state.make_query(rerank=False, k=SHOWN)
    feedback = state.session().feedback
    try:
        hits = state.search(query)
    except CbirError as error:
        st.error(plain(str(error)))
        return
    suggested: list[Hit] = []
    took = ""
    if labels:
        try:
            started = time.perf_counter()
            hits = feedback.search(query, labels)
            took = f" Re-ranked in {1000 * (time.perf_counter() - started):.0f} ms."
            suggested = feedback.suggest(query, labels, SUGGESTED)
        except CbirError as error:
            st.error(plain(str(error)))
    up = sum(labels.values())
    st.markdown(
        f"Say which hits are right (**Yes**) and which are not (**No**): **{up}** right and "
        f"**{len(labels) - up}** wrong so far.{took}"
    )
    _files(labels)
    thumbs = [_thumb("Yes", "This is what I look for", True), _thumb("No", "Something else", False)]
    if suggested:
        st.subheader("Label these next")
        st.caption("Most uncertain top hits; labelling these helps most.")
        results.show(suggested, "suggested", actions=thumbs, opens=False, look="small")
        st.subheader("Hits")
    results.show(hits, "taught", actions=thumbs)


def _thumb(text: str, hint: str, match: bool) -> Action:
    labels: dict[int, bool] = st.session_state.labels

    def act(hit: Hit) -> None:
        if labels.get(hit.image_id) is match:
            del labels[hit.image_id]  # the same again takes it back
        else:
            labels[hit.image_id] = match

    return Action(text, hint, act, lambda hit: labels.get(hit.image_id) is match)


def _files(labels: dict[int, bool]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.download_button(
            "Save labels",
            dump_labels(state.session().store, labels),
            "labels.json",
            "application/json",
            disabled=not labels,
        )
        st.button("Clear labels", on_click=labels.clear, disabled=not labels)
        with st.popover("Load labels"):
            generation = st.session_state.setdefault("label_files", 0)
            st.file_uploader(
                "A file saved here before", type="json", key=f"labels-{generation}", on_change=_load
            )


def _load() -> None:
    given = st.session_state[f"labels-{st.session_state.label_files}"]
    if given is None:
        return
    st.session_state.label_files += 1
    try:
        labels, unknown = load_labels(state.session().store, given.getvalue())
    except CbirError as error:
        st.session_state.error = str(error)
        return
    st.session_state.labels = st.session_state.labels | labels
    if unknown:
        st.session_state.error = (
            f"{len(labels)} labels were loaded; {len(unknown)} images are not in this collection, "
            f"such as {unknown[0]}."
        )
