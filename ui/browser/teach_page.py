"""Teach: label hits right or wrong, and the collection is re-ranked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import streamlit as st

from indexer.errors import CbirError
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.examples import ExamplePaths
from retrieval.query import Hit, Query
from retrieval.tagging import Tagging, tag_images, teach
from ui.answers import plain_query_of, search_query
from ui.asked import Asked
from ui.browser import asking, components, listing
from ui.browser.figures import plain
from ui.browser.search_page import invite
from ui.browser.session import require_wanted, session, turn
from ui.shown import Shown

SHOWN = 48
SUGGESTED = 8
GRID = "taught"
AFTER = 8  # labels the hits are ranked again


def show() -> None:
    """Draw the page."""
    shown, asked = session(), asking.asked()
    if not asked.has_query:
        invite(shown, asked)
        return
    query = plain_query_of(shown, asked, rerank=False, k=SHOWN)
    labels = _labels(asked)
    try:
        hits, suggested = _rank(shown, query, _counted(asked))
    except CbirError as error:
        st.error(plain(str(error)))
        return
    _head(asked, labels)
    if suggested:
        listing.show(
            shown,
            asked,
            suggested,
            "suggested",
            heading="Label these next",
            note="The most uncertain of the top hits: labelling these helps most.",
            compact=True,
            on_labels=_told("suggested", asked),
        )
    listing.show(shown, asked, hits, GRID, heading="Hits", on_labels=_told(GRID, asked))
    _keep(shown, asked, labels)


def _labels(asked: Asked) -> dict[int, bool]:
    """Return the labels of what is looked for, as the browser last told of them."""
    told: dict[str, dict[int, bool]] = st.session_state.setdefault("labels", {})
    return told.get(_looked_for(asked), {})


def _counted(asked: Asked) -> dict[int, bool]:
    """Return the labels that the ranking counts: those of the last time it was asked for."""
    counted: dict[str, dict[int, bool]] = st.session_state.setdefault("counted", {})
    return counted.get(_looked_for(asked), {})


def _looked_for(asked: Asked) -> str:
    only = Asked(image=asked.image, picture=asked.picture, text=asked.text, box=asked.box)
    return only.address()


def _told(key: str, asked: Asked) -> Callable[[], None]:
    def take() -> None:
        labels = components.labels_of(key)
        st.session_state.labels[_looked_for(asked)] = labels
        new = labels.items() ^ _counted(asked).items()
        if not _counted(asked) or len(new) >= AFTER:
            _count(asked)

    return take


def _count(asked: Asked) -> None:
    st.session_state.counted[_looked_for(asked)] = _labels(asked)


def _rank(shown: Shown, query: Query, labels: dict[int, bool]) -> tuple[list[Hit], list[Hit]]:
    """Return the hits as labels rank them, and those that it helps most to label."""
    if not labels:
        return search_query(shown, query, require_wanted), []
    with turn():
        hits = shown.feedback.search(query, labels)
        return hits, shown.feedback.suggest(query, labels, SUGGESTED)


def _head(asked: Asked, labels: dict[int, bool]) -> None:
    up = sum(labels.values())
    st.markdown(
        "Say which hits are right and which are not, by **Yes** and **No** or the keys Y and N: "
        f"**{up}** right and **{len(labels) - up}** wrong so far."
    )
    st.button(
        "Rank again",
        on_click=_count,
        args=(asked,),
        disabled=labels == _counted(asked),
        help=f"The order holds still while you label; after {AFTER} labels it is ranked again.",
    )


def _keep(shown: Shown, asked: Asked, labels: dict[int, bool]) -> None:
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
            kept = keep_as_tag(shown.engine, plain_query_of(shown, asked), labels, name)
    except CbirError as error:
        st.error(plain(str(error)))
        return
    count = len(kept.probabilities)
    images = "1 image" if count == 1 else f"{count:,} images"
    st.success(f"{images} got the tag {plain(kept.name)}. Filter by it above.")


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
