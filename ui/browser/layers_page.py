"""Which layer?: the nearest images by each tap of the network, in rows."""

from __future__ import annotations

from typing import Any

import streamlit as st
from cachetools import LRUCache

from indexer.errors import CbirError
from retrieval.layers import POOL_IMAGES, LayerLab, TapHits
from retrieval.query import Query
from ui.browser import results, state
from ui.browser.figures import plain
from ui.browser.search_page import invite

SHOWN = 6


@st.cache_resource(
    show_spinner="Loading the network with all its taps …",
    max_entries=2,
    hash_funcs=state.BY_VERSION,
)
def _lab(shared: state.Session) -> LayerLab:
    return LayerLab(shared.engine.collection)


def show() -> None:
    """Draw the page."""
    if not state.has_image():
        invite()
        return
    try:
        rows = _rank(state.make_query(rerank=False))
    except CbirError as error:
        st.error(plain(str(error)))
        return
    for row in rows:
        st.subheader(f"{row.tap} · {row.kind}")
        results.show(row.hits, f"tap-{row.tap}", actions=(), look="small")


def _rank(query: Query) -> list[TapHits]:
    kept: LRUCache[Any, list[TapHits]] = st.session_state.setdefault("by_tap", LRUCache(4))
    lab = _lab(state.session())
    pool = lab.pool(query)
    total = len(state.session().image_index())
    among = "all" if len(pool) == total else f"{len(pool)} of the {total:,}"
    st.markdown(
        f"The first taps see edges and textures, the later ones parts, fc whole kinds. Ranked "
        f"among {among} images of the collection"
        + (": the nearest by conv, fc and regions, and some others." if len(pool) < total else ".")
    )
    key = (query, state.session().version)
    if key not in kept:
        bar = st.progress(0.0, f"Describing up to {POOL_IMAGES} images at every tap …")

        def show(step: str, done: int, total: int, *, failed: int = 0) -> None:  # noqa: ARG001
            bar.progress(done / total, f"{step}: {done} of {total}")

        kept[key] = lab.rank(query, pool, SHOWN, show)
        bar.empty()
    return kept[key]
