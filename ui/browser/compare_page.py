"""Whole against regions: the same query with and without localisation, side by side."""

from __future__ import annotations

import streamlit as st

from indexer.errors import CbirError
from retrieval.query import Hit
from ui.browser import chips, results, state
from ui.browser.figures import plain
from ui.browser.search_page import invite
from ui.browser.session import session

SHOWN = 12


def show() -> None:
    """Draw the page."""
    chips.show()
    if not state.has_image():
        invite()
        return
    if session().spec.regions == "none":
        st.info("This store describes whole images only; regions need cbir index --regions grid.")
        return
    try:
        whole, regions = (
            state.search(state.make_query(search=kind, rerank=False, feature="conv", k=SHOWN))
            for kind in ("image", "region")
        )
    except CbirError as error:
        st.error(plain(str(error)))
        return
    _sum_up(whole, regions)
    left, right = st.columns(2)
    with left:
        st.subheader("Whole images")
        st.caption("One vector an image: what it looks like altogether.")
        results.show(whole, "whole", actions=(), look="small")
    with right:
        st.subheader("Regions")
        st.caption("The best of many windows an image: a part of it is enough, and it has a box.")
        results.show(regions, "region", actions=(), look="small")


def _sum_up(whole: list[Hit], regions: list[Hit]) -> None:
    seen = {hit.image_id for hit in whole}
    new = sum(hit.image_id not in seen for hit in regions)
    st.markdown(
        f"Of the first **{len(regions)}** images by region, **{new}** are not among the first "
        f"{len(whole)} by the whole image."
    )
