"""The side bar: the query image, a box on it, or a word; how to search, and the filters."""

from __future__ import annotations

from typing import Any

import streamlit as st

from indexer.errors import CbirError
from indexer.features.regions import Region
from retrieval.class_names import known_classes
from ui.browser import box_picker, filters, state
from ui.browser.figures import data_url, plain
from ui.browser.session import session
from ui.gallery import as_jpeg

SEARCHES = {"image": "Whole image", "region": "Regions"}
FEATURES = {"conv": "Appearance (conv)", "fc": "Kind of content (fc)", "both": "Both"}


def show() -> None:
    """Draw the panel; afterwards the session's state says what to search."""
    with st.sidebar:
        _source()
        _settings()
        filters.show()


def _source() -> None:
    generation = st.session_state.setdefault("uploads", 0)
    st.file_uploader(
        "Query image",
        key=f"upload-{generation}",
        on_change=_uploaded,
        args=(f"upload-{generation}",),
        help="It stays on this machine and is forgotten when you close the page.",
    )
    src, alt, size = None, "", (1, 1)
    if state.has_image():
        try:
            src, alt, size = _picture()
        except CbirError as error:
            st.error(plain(str(error)))
    box_picker.draw_on(
        src,
        alt,
        size,
        st.session_state.box,
        on_drawn=_drawn,
        on_pasted=_pasted,
        on_refused=_refused,
    )
    if src is None:
        _word()
        return
    st.caption(f"{plain(alt)} · {size[0]} × {size[1]} pixels. Drag on the picture to draw a box.")
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    left.text_input(
        "Box (x0, y0, x1, y1 in pixels)",
        key="box_text",
        on_change=_typed,
        placeholder="whole picture",
    )
    right.button(
        "Clear box",
        on_click=state.take_box,
        args=(None,),
        disabled=st.session_state.box is None,
        width="stretch",
    )
    _further_word()
    st.button(
        "Another image", on_click=state.drop_query, help="Go back to the images to choose from"
    )


def _word() -> None:
    """Offer to search by a word, where the network knows some."""
    if known_classes(session().store) is not None:
        st.text_input(
            "Or describe it in a word: one of 1,000 names",
            key="text_typed",
            on_change=lambda: state.take_text(st.session_state.text_typed),
            placeholder="such as espresso",
            help="The names are the classes of ImageNet, which the network was trained on.",
        )


def _further_word() -> None:
    """Offer to search by a word beside the image, where the network knows some."""
    if known_classes(session().store) is not None:
        st.text_input(
            "And by a word",
            key="also_text",
            bind="query-params",
            on_change=state.to_first_page,
            placeholder="such as pillow",
            help="One of the 1,000 names that the network knows. The word ranks the images by "
            "itself, and both rankings are joined.",
        )


def _picture() -> tuple[str, str, tuple[int, int]]:
    """Return the query image as (data URL, name, size of the original)."""
    upload: state.Upload | None = st.session_state.upload
    if upload is not None:
        return data_url(upload.preview), upload.name, state.query_size()
    shared = session()
    info = shared.gallery.info(st.session_state.image)
    picture = shared.kept.get(
        ("panel", info.id), lambda: as_jpeg(shared.gallery.picture(info.id, state.QUERY_PX)), len
    )
    return data_url(picture), info.path.name, (info.width, info.height)


def _settings() -> None:
    if st.session_state.text is not None:
        return  # a word is compared in one way only
    regions = session().spec.regions != "none"
    _choice("Compare with", SEARCHES if regions else {"image": SEARCHES["image"]}, "search")
    by_region = st.session_state.get("search") == "region"
    keypoints = session().store.keeps_keypoints
    st.toggle(
        "Prove matches",
        value=keypoints,
        key="verify",
        bind="query-params",
        help="Looks for the query's keypoints in the top 200 images: those proved to show the "
        "same come first."
        + (
            ""
            if keypoints
            else " The first time, their keypoints must be found; this takes some seconds."
        ),
    )
    st.toggle(
        "Turned images too",
        key="turns",
        bind="query-params",
        help="Asks in four rotations, for images that may lie on their side.",
        on_change=state.to_first_page,
    )
    if by_region:
        st.toggle(
            "Re-rank (slower, sharper)",
            key="rerank",
            bind="query-params",
            help="Proves matches, and looks for more images that are like the proved ones.",
        )
    else:
        _choice("Features", FEATURES, "feature")


def _choice(label: str, options: dict[str, str], key: str) -> None:
    st.radio(
        label,
        list(options),
        format_func=options.__getitem__,
        key=key,
        bind="query-params",
        horizontal=True,
        on_change=state.to_first_page,
    )


def _uploaded(key: str) -> None:
    """Take what was uploaded, once: a run that another one replaces may tell of it twice."""
    given: Any = st.session_state.get(key)
    if given is not None and given.file_id != st.session_state.get("taken_file"):
        st.session_state.taken_file = given.file_id
        state.take_upload(given.getvalue(), given.name)
        st.session_state.uploads += 1  # the field is emptied: the picture below is what counts


def _pasted() -> None:
    state.take_upload(box_picker.pasted_bytes(), "pasted image")


def _refused() -> None:
    st.session_state.error = f"{box_picker.refusal()} The limit is 40 MB."


def _drawn() -> None:
    if state.has_image():
        box = box_picker.drawn_box(*state.query_size())
        state.take_box(box)
        if box is not None and session().spec.regions != "none":
            st.session_state.search = "region"


def _typed() -> None:
    text = st.session_state.box_text.strip()
    try:
        state.take_box(Region.parse(text) if text else None)
    except CbirError as error:
        st.session_state.error = str(error)
