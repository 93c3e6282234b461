"""Modes: the same query compared in every way: whole, by regions, and by each layer."""

from __future__ import annotations

import streamlit as st

from indexer.choices import Scope
from indexer.errors import CbirError
from indexer.features.backbones import Tap
from indexer.features.registry import get_backbone
from retrieval.layers import POOL_IMAGES, LayerLab, TapHits
from retrieval.query import Hit, Query
from ui.answers import HIT_BYTES, plain_query_of, search_query, without_data
from ui.asked import Asked
from ui.browser import asking, listing
from ui.browser.figures import plain
from ui.browser.search_page import invite
from ui.browser.session import require_wanted, session, turn
from ui.shown import Shown

SHOWN = 8
WHOLE = "One vector an image: what it looks like altogether."
REGIONS = "The best of many windows an image: a part of it is enough, and it has a box."

# By how many pixels of the input a position stands for: the more, the later the layer.
LESSONS = {
    8: "Edges, colours and fine textures: what pictures of any origin are made of.",
    16: "Textures and small parts: often the best far from ImageNet, as in medicine.",
    10_000: "Parts and whole objects, wherever they are in the picture.",
}


@st.cache_resource(
    show_spinner="Loading the network with all its taps …",
    max_entries=1,
    hash_funcs={Shown: id},  # there is one a store, for good
)
def _lab(shown: Shown) -> LayerLab:
    return LayerLab(shown.engine.collection)


def show() -> None:
    """Draw the page."""
    shown, asked = session(), asking.asked()
    if not asked.has_picture:
        invite(shown, asked)
        return
    try:
        _scopes(shown, asked)
        _taps(shown, asked)
    except CbirError as error:
        st.error(plain(str(error)))


def _scopes(shown: Shown, asked: Asked) -> None:
    """Show the hits among whole images, and among regions."""
    whole = _search(shown, asked, "image")
    _row(shown, asked, whole, "whole", "Whole images", WHOLE)
    if shown.spec.regions == "none":
        st.info("This store describes whole images only; regions need cbir index --regions grid.")
        return
    regions = _search(shown, asked, "region")
    seen = {hit.image_id for hit in whole}
    new = sum(hit.image_id not in seen for hit in regions)
    note = f"{REGIONS} Not in the row above: {new} of {len(regions)}."
    _row(shown, asked, regions, "regions", "Regions", note)


def _search(shown: Shown, asked: Asked, scope: Scope) -> list[Hit]:
    query = plain_query_of(shown, asked, search=scope, feature="conv", rerank=False, k=SHOWN)
    return search_query(shown, query, require_wanted)


def _taps(shown: Shown, asked: Asked) -> None:
    """Show the hits by each tap of the network."""
    query = plain_query_of(shown, asked, rerank=False)
    for row in _rank(shown, query):
        note = _lesson(get_backbone(shown.spec.backbone).tap(row.tap))
        _row(shown, asked, row.hits, f"tap-{row.tap}", f"{row.tap} · {row.kind}", note)


def _lesson(tap: Tap) -> str:
    """Return what is learnt from the hits of a tap, in a sentence."""
    if tap.kind == "fc":
        return "Kinds of content, as the network was taught them: strongest near ImageNet."
    return next(lesson for stride_px, lesson in LESSONS.items() if tap.stride_px <= stride_px)


def _row(shown: Shown, asked: Asked, hits: list[Hit], key: str, heading: str, note: str) -> None:
    listing.show(shown, asked, hits, key, heading=heading, note=note, compact=True)


def _rank(shown: Shown, query: Query) -> list[TapHits]:
    lab = _lab(shown)
    with turn():
        pool = lab.pool(query)
    total = len(shown.image_index())
    among = "all" if len(pool) == total else f"{len(pool)} of the {total:,}"
    st.markdown(
        "**By layer.** The first taps see edges and textures, the later ones parts, fc whole "
        f"kinds. Ranked among {among} images of the collection"
        + (": the nearest by conv, fc and regions, and some others." if len(pool) < total else ".")
    )

    def rank() -> list[TapHits]:
        bar = st.progress(0.0, f"Describing up to {POOL_IMAGES} images at every tap …")

        def progress(step: str, done: int, total: int, *, failed: int = 0) -> None:  # noqa: ARG001 # of the protocol
            bar.progress(done / total, f"{step}: {done} of {total}")

        with turn():
            rows = lab.rank(query, pool, SHOWN, progress)
        bar.empty()
        return rows

    key = shown.as_of_now("taps", without_data(query))
    return shown.kept.get(key, rank, lambda rows: HIT_BYTES * SHOWN * len(rows))
