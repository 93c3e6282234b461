"""The filters in the side bar: folder, file name, dates, tags, and the language of filters."""

from __future__ import annotations

import streamlit as st

from indexer.errors import CbirError
from indexer.store.filter_queries import FIELDS
from indexer.store.filters import ImageFilter
from ui.browser import state
from ui.browser.figures import plain
from ui.browser.session import allowed_ids, folder_names, own_fields, tag_counts


def show() -> None:
    """Draw the filters; afterwards the session's state says which images may be hits."""
    _accept()
    is_on = bool(state.wanted_images())
    is_open = is_on or bool(st.session_state.where_error)
    with st.expander("Filters" + (" (on)" if is_on else ""), expanded=is_open):
        _folder_and_name()
        _dates()
        _tags()
        _where()
        wanted = state.wanted_images()
        if wanted:
            count = len(allowed_ids(wanted))
            images = "1 image matches" if count == 1 else f"{count:,} images match"
            st.caption(f"{images} the filters.")


def _folder_and_name() -> None:
    st.selectbox(
        "Folder",
        folder_names(),
        index=None,
        key="folder",
        bind="query-params",
        placeholder="all folders",
        on_change=state.to_first_page,
    )
    st.text_input(
        "File name",
        key="name",
        bind="query-params",
        placeholder="part of it, or a pattern like *.png",
        on_change=state.to_first_page,
    )


def _dates() -> None:
    left, right = st.columns(2)
    for column, label, key in ((left, "Taken from", "since"), (right, "until", "until")):
        column.date_input(
            label,
            value=None,
            key=key,
            bind="query-params",
            min_value="1826-01-01",
            max_value="today",
            on_change=state.to_first_page,
        )


def _tags() -> None:
    tags = list(tag_counts())
    if tags:
        st.multiselect(
            "Tags",
            tags,
            key="tags",
            bind="query-params",
            placeholder="any",
            help="Images that have all of these.",
            on_change=state.to_first_page,
        )


def _where() -> None:
    """Draw the field for a filter in words; one that is wrong leaves the last good one on."""
    columns = ", ".join([*FIELDS, *map(plain, own_fields())])
    st.text_input(
        "Where",
        key="where",
        bind="query-params",
        placeholder="such as width>2000 and date>=2019-06",
        help=f"Comparisons, joined by and, or, not and parentheses. Fields: {columns}.",
        on_change=_where_changed,
    )
    if st.session_state.where_error:
        error = st.session_state.where_error
        listed = "" if "There are:" in error else f"\n\nFields: {columns}."
        st.error(plain(error) + listed)


def _where_changed() -> None:
    if _accept():
        state.to_first_page()


def _accept() -> bool:
    """Let the filter that is typed count, if it can be; otherwise keep why not."""
    bookmarked = st.query_params.get("where", "")  # of the first run, which has no field yet
    typed = (st.session_state.get("where", bookmarked) or "").strip()
    st.session_state.where_error = ""
    try:
        if typed:
            allowed_ids(ImageFilter(where=typed))
    except CbirError as error:
        st.session_state.where_error = str(error)
        if typed == st.session_state.where_applied:  # its field or tag has been removed since
            st.session_state.where_applied = ""
        return False
    st.session_state.where_applied = typed
    return True
