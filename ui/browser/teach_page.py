"""Teach: label hits right or wrong, and the collection is re-ranked at once."""

from __future__ import annotations

import time
from collections.abc import Mapping

import streamlit as st

from indexer.errors import CbirError
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.examples import ExamplePaths
from retrieval.labels import dump_labels, load_labels
from retrieval.query import Hit, Query
from retrieval.tagging import Tagging, tag_images, teach
from ui.browser import chips, results, state
from ui.browser.figures import plain
from ui.browser.results import Action
from ui.browser.search_page import invite
from ui.browser.session import session, turn

SHOWN = 24
SUGGESTED = 6


def show() -> None:
    """Draw the page."""
    chips.show()
    if not state.has_query():
        invite()
        return
    labels: dict[int, bool] = st.session_state.labels
    query = state.make_query(rerank=False, k=SHOWN)
    feedback = session().feedback
    try:
        hits = state.search(query)
    except CbirError as error:
        st.error(plain(str(error)))
        return
    suggested: list[Hit] = []
    took = ""
    if labels:
        try:
            with turn():
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
    _keep(labels)
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


def _keep(labels: dict[int, bool]) -> None:
    """Offer to keep what the labels say as a tag."""
    with st.form("keep", border=False, enter_to_submit=True):
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        name = left.text_input(
            "Keep as a tag",
            placeholder="a name for what you look for",
            help="Learns from the query image and the labels, and tags the collection. Images "
            "that are added later get it by cbir tag.",
        )
        if not right.form_submit_button("Tag the collection"):
            return
    try:
        with st.spinner("Learning and tagging …"), turn():
            kept = keep_as_tag(session().engine, state.make_query(), labels, name)
    except CbirError as error:
        st.error(plain(str(error)))
        return
    count = len(kept.probabilities)
    images = "1 image" if count == 1 else f"{count:,} images"
    st.success(f"{images} got the tag {plain(kept.name)}. Filter by it in the side panel.")


def keep_as_tag(
    engine: SearchEngine, query: Query, labels: Mapping[int, bool], name: str
) -> Tagging:
    """Teach the store a concept from a query and labels, and tag its images with it.

    Raises what `teach` and `tag_images` do.
    """
    store = Store.open(engine.store.path)
    try:
        queries = [] if query.text is not None else [query]
        wanted = ExamplePaths(labels=labels, queries=queries)
        concept, _ = teach(store, name, engine.collection, wanted, query.feature)
        [tagging] = tag_images(store, [concept.name])
    finally:
        store.close()
    return tagging


def _files(labels: dict[int, bool]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.download_button(
            "Save labels",
            dump_labels(session().store, labels),
            "labels.json",
            "application/json",
            disabled=not labels,
        )
        st.button("Clear labels", on_click=labels.clear, disabled=not labels)
        with st.popover("Load labels"):
            generation = st.session_state.setdefault("label_files", 0)
            st.file_uploader(
                "A file saved here before",
                type="json",
                key=f"labels-{generation}",
                on_change=_load,
                args=(f"labels-{generation}",),
            )


def _load(key: str) -> None:
    given = st.session_state.get(key)
    if given is None:
        return
    st.session_state.label_files += 1
    try:
        labels, unknown = load_labels(session().store, given.getvalue())
    except CbirError as error:
        st.session_state.error = str(error)
        return
    st.session_state.labels = st.session_state.labels | labels
    if unknown:
        st.session_state.error = (
            f"{len(labels)} labels were loaded; {len(unknown)} images are not in this collection, "
            f"such as {unknown[0]}."
        )
