"""Which layer?: the nearest images by each tap of the network, in rows."""

from __future__ import annotations

import streamlit as st

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
    hash_funcs=state.BY_MOMENT,
)
def _lab(shared: state.Desk) -> LayerLab:
    return LayerLab(shared.engine)


def show() -> None:
    """Draw the page."""
    if not state.has_query():
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
    kept: dict[tuple[Query, tuple[int, ...]], list[TapHits]] = st.session_state.setdefault(
        "by_tap", {}
    )
    lab = _lab(state.desk())
    pool = lab.pool(query)
    total = len(state.desk().engine.index("conv"))
    among = "all" if len(pool) == total else f"{len(pool)} of the {total:,}"
    st.markdown(
        f"The first taps see edges and textures, the later ones parts, fc whole kinds. Ranked "
        f"among {among} images of the collection"
        + (": the nearest by conv, fc and regions, and others." if len(pool) < total else ".")
    )
    key = (query, state.desk().moment)
    if key not in kept:
        while len(kept) >= 4:
            del kept[next(iter(kept))]
        bar = st.progress(0.0, f"Reading up to {POOL_IMAGES} images at every tap …")

        def tell(done: int, total: int) -> None:
            bar.progress(done / total, f"{done} of {total} images")

        kept[key] = lab.rank(query, pool, SHOWN, tell)
        bar.empty()
    return kept[key]
