"""Which layer?: the nearest images by each tap of the network, in rows."""

from __future__ import annotations

import streamlit as st

from indexer.errors import CbirError
from retrieval.layers import POOL_IMAGES, LayerLab, TapHits
from retrieval.query import Query
from ui.browser import chips, results, state
from ui.browser.figures import plain
from ui.browser.search_page import invite
from ui.browser.session import Session, session, turn
from ui.browser.state import HIT_BYTES

SHOWN = 6


@st.cache_resource(
    show_spinner="Loading the network with all its taps …",
    max_entries=1,
    hash_funcs={Session: id},  # there is one a store, for good
)
def _lab(shared: Session) -> LayerLab:
    return LayerLab(shared.engine.collection)


def show() -> None:
    """Draw the page."""
    chips.show()
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
    shared = session()
    lab = _lab(shared)
    with turn():
        pool = lab.pool(query)
    total = len(shared.image_index())
    among = "all" if len(pool) == total else f"{len(pool)} of the {total:,}"
    st.markdown(
        f"The first taps see edges and textures, the later ones parts, fc whole kinds. Ranked "
        f"among {among} images of the collection"
        + (": the nearest by conv, fc and regions, and some others." if len(pool) < total else ".")
    )

    def rank() -> list[TapHits]:
        bar = st.progress(0.0, f"Describing up to {POOL_IMAGES} images at every tap …")

        def show(step: str, done: int, total: int, *, failed: int = 0) -> None:  # noqa: ARG001
            bar.progress(done / total, f"{step}: {done} of {total}")

        with turn():
            rows = lab.rank(query, pool, SHOWN, show)
        bar.empty()
        return rows

    key = shared.as_of_now("taps", state.without_data(query))
    return shared.kept.get(key, rank, lambda rows: HIT_BYTES * SHOWN * len(rows))
