"""A hit beside the query, larger: with box, heat map and mask, and the facts about the image."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import streamlit as st
from PIL import Image

from indexer.errors import CbirError
from indexer.features.regions import Region
from indexer.store.tags import tags_of
from retrieval.class_names import known_classes, likeliest
from retrieval.localize import Localization, localize
from retrieval.query import Hit, Query
from ui.browser import state
from ui.browser.figures import figure, plain
from ui.browser.session import session, turn
from ui.gallery import as_jpeg, fitted
from ui.overlay import draw_heat, draw_mask
from ui.render import printable

SIDE_PX = 800
VIEWS = ("Picture", "Heat map", "Mask")


@st.dialog("Query and match", width="large")
def show(hit: Hit) -> None:
    """Open the hit over the page."""
    box = hit.region
    try:
        box = _compare(hit)
    except CbirError as error:
        st.error(plain(str(error)))
    _facts(hit, box)


def _compare(hit: Hit) -> Region | None:
    """Show the hit beside the query; return the box that is shown."""
    gallery = session().gallery
    info = gallery.info(hit.image_id)
    picture = gallery.picture(hit.image_id, SIDE_PX)
    view = VIEWS[0]
    located: Localization | None = None
    box = hit.region
    if session().spec.regions != "none" and state.has_image():
        view = (
            st.segmented_control(
                "Show on the match", VIEWS, default=VIEWS[0], key=f"view-{hit.image_id}"
            )
            or VIEWS[0]
        )
        if view != VIEWS[0]:
            with st.spinner("Locating the query …"):
                located = _locate(state.make_query(), hit, picture, (info.width, info.height))
            box = box or located.box.scaled(picture.size, (info.width, info.height))
    left, right = st.columns(2)
    if state.has_image():
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
                quad=hit.quad,
                size=(info.width, info.height),
            )
        )
    if view == VIEWS[1]:
        st.caption("Bright places contributed most to the score.")
    _actions(hit, box)
    return box


def _query_figure() -> None:
    upload: state.Upload | None = st.session_state.upload
    if upload is not None:
        picture, name = fitted(upload.data, SIDE_PX), upload.name
    else:
        gallery = session().gallery
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


def _locate(query: Query, hit: Hit, picture: Image.Image, size: tuple[int, int]) -> Localization:
    """Find the query in a hit of this size, at the size that is shown; kept for the next time.

    Where the hit has a box or an outline, that is where it is.
    """
    shared = session()
    asked = state.make_query(search="region", feature="conv", rerank=False)
    box = hit.region.scaled(size, picture.size) if hit.region else None
    across, down = picture.width / size[0], picture.height / size[1]
    quad = tuple((x * across, y * down) for x, y in hit.quad) if hit.quad else None

    def locate() -> Localization:
        with turn():
            return localize(shared.engine.collection, asked, picture, box=box, quad=quad)

    key = "located", state.without_data(query), hit.image_id, box, quad
    return shared.kept.get(shared.as_of_now(*key), locate, _bytes_of)


def _bytes_of(found: Localization) -> int:
    """Return about how many bytes a localization takes."""
    pictures = 3 * (found.image.width * found.image.height + found.query.width * found.query.height)
    return pictures + found.heat.nbytes + found.mask.nbytes


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


def _words(image_id: int) -> dict[str, str]:
    """Return the tags of an image, and what the network takes it for, as far as there are any."""
    store = session().store
    rows = {}
    if tags := tags_of(store, image_id):
        rows["Tags"] = ", ".join(f"{name} ({value:.2f})" for name, value in tags.items())
    names = known_classes(store)
    if names is not None:
        index = session().image_index("fc")
        _, _, vectors = index.rows_of_images(np.array([image_id], np.int64))
        for vector in vectors:  # a blank image has none
            rows["Likeliest of 1,000 classes"] = ", ".join(likeliest(names, vector))
    return rows


def _as_list(rows: Mapping[str, str]) -> str:
    lines = (f"- **{plain(name)}:** {plain(' '.join(said.split()))}" for name, said in rows.items())
    return "\n".join(lines)


def _facts(hit: Hit, shown: Region | None) -> None:
    info = session().store.image_infos([hit.image_id]).get(hit.image_id)
    if info is None:
        st.warning("This image has been removed from the collection.")
        return
    taken = f"{info.taken_at:%d %B %Y, %H:%M}" if info.taken_at else "unknown"
    box = str(shown) if shown is not None else "whole image"
    rows = {
        "Size": f"{info.width} × {info.height} pixels",
        "Taken": taken,
        "Camera": info.camera or "unknown",
        "Matched": box,
        "Rank and score": f"{hit.rank}, {hit.score:.4f}",
        "Image number": str(info.id),
    }
    rows |= _words(info.id)
    st.markdown(_as_list(rows))
    if hit.annotations:
        st.markdown("**Fields of your own**")
        st.markdown(_as_list(hit.annotations))
    st.caption("Path, to copy:")
    st.code(printable(info.path), language=None, wrap_lines=True)
