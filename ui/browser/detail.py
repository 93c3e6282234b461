"""A hit beside the query, larger: with box, heat map and mask, and the facts about the image."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st
from cachetools import LRUCache

from indexer.errors import CbirError
from indexer.features.regions import Region
from retrieval.localize import Localization, localize
from retrieval.query import Hit, Query
from ui.browser import state
from ui.browser.figures import figure, plain
from ui.gallery import as_jpeg, fitted
from ui.overlay import draw_heat, draw_mask
from ui.render import printable

SIDE_PX = 800
VIEWS = ("Picture", "Heat map", "Mask")


@st.dialog("Query and match", width="large")
def show(hit: Hit) -> None:
    """Open the hit over the page."""
    try:
        _compare(hit)
    except CbirError as error:
        st.error(plain(str(error)))
    _facts(hit)


def _compare(hit: Hit) -> None:
    gallery = state.session().gallery
    info = gallery.info(hit.image_id)
    picture = gallery.picture(hit.image_id, SIDE_PX)
    view = VIEWS[0]
    located: Localization | None = None
    box = hit.region
    if state.session().store.spec.regions != "none":
        view = (
            st.segmented_control(
                "Show on the match", VIEWS, default=VIEWS[0], key=f"view-{hit.image_id}"
            )
            or VIEWS[0]
        )
        if view != VIEWS[0]:
            with st.spinner("Locating the query …"):
                located = _locate(state.make_query(), hit.image_id)
            box = _to_original(located.box, picture.size, (info.width, info.height))
    left, right = st.columns(2)
    if state.has_query():
        with left:
            _query_figure()
    with right:
        if located is not None:
            draw = draw_heat(picture, located.heat) if view == VIEWS[1] else None
            picture = draw or draw_mask(picture, located.mask)
        st.html(
            figure(
                as_jpeg(picture),
                f"Match: {info.path.name}, {view.lower()}",
                title=f"Match · score {hit.score:.3f}",
                name=info.path.name,
                box=box,
                size=(info.width, info.height),
            )
        )
    if view == VIEWS[1]:
        st.caption("Bright places contributed most to the score.")
    _actions(hit, box)


def _query_figure() -> None:
    upload: state.Upload | None = st.session_state.upload
    if upload is not None:
        picture, name = fitted(upload.data, SIDE_PX), upload.name
    else:
        gallery = state.session().gallery
        name = gallery.info(st.session_state.image).path.name
        picture = gallery.picture(st.session_state.image, SIDE_PX)
    box: Region | None = st.session_state.box
    st.html(
        figure(
            as_jpeg(picture),
            f"Query: {name}",
            title="Query",
            name=name,
            box=box,
            size=state.query_size(),
        )
    )


def _locate(query: Query, image_id: int) -> Localization:
    """Find the query in an image, at the size that is shown; kept for the session."""
    kept: LRUCache[Any, Localization] = st.session_state.setdefault("located", LRUCache(8))
    key = (query, image_id)
    if key not in kept:
        session = state.session()
        asked = state.make_query(search="region", feature="conv", rerank=False)
        picture = session.gallery.picture(image_id, SIDE_PX)
        kept[key] = localize(session.engine.collection, asked, picture)
    return kept[key]


def _to_original(box: Region, shown: tuple[int, int], full: tuple[int, int]) -> Region:
    x, y = full[0] / shown[0], full[1] / shown[1]
    x0, y0 = min(int(box.x0 * x), full[0] - 1), min(int(box.y0 * y), full[1] - 1)
    x1, y1 = min(round(box.x1 * x), full[0]), min(round(box.y1 * y), full[1])
    return Region(x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))


def _actions(hit: Hit, box: Region | None) -> None:
    with st.container(horizontal=True):
        if st.button(
            "Search with this image",
            key="use-image",
            on_click=partial(state.take_image, hit.image_id),
        ):
            st.rerun()
        if box is not None and st.button(
            "Search with the box", key="use-box", on_click=partial(_take_part, hit.image_id, box)
        ):
            st.rerun()


def _take_part(image_id: int, box: Region) -> None:
    state.take_image(image_id, box)
    st.session_state.search = "region"


def _facts(hit: Hit) -> None:
    info = state.session().store.image_infos([hit.image_id]).get(hit.image_id)
    if info is None:
        st.warning("This image has been removed from the collection.")
        return
    taken = f"{info.taken_at:%d %B %Y, %H:%M}" if info.taken_at else "unknown"
    box = str(hit.region) if hit.region is not None else "whole image"
    rows = {
        "Size": f"{info.width} × {info.height} pixels",
        "Taken": taken,
        "Camera": info.camera or "unknown",
        "Matched": box,
        "Rank and score": f"{hit.rank}, {hit.score:.4f}",
        "Image number": str(info.id),
    }
    st.markdown("\n".join(f"- **{name}:** {plain(value)}" for name, value in rows.items()))
    st.caption("Path, to copy:")
    st.code(printable(info.path), language=None, wrap_lines=True)
