"""The application that the browser shows: pages over one store. `cbir ui` runs this file."""

from __future__ import annotations

import streamlit as st
from PIL import Image, ImageDraw

from indexer.errors import CbirError
from ui.browser import (
    collection_page,
    compare_page,
    duplicates_page,
    lab_page,
    layers_page,
    query_panel,
    search_page,
    state,
    teach_page,
)
from ui.browser.figures import STYLE, plain
from ui.browser.session import session

PANEL_PX = 380


def _icon() -> Image.Image:
    """Return the page's icon, drawn here: named ones would be fetched from the network."""
    icon = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(icon)
    draw.rounded_rectangle((2, 2, 61, 61), 14, fill="#0f766e")
    draw.rectangle((20, 20, 44, 44), outline="white", width=5)
    return icon


def main() -> None:
    """Draw the page that the address means."""
    st.set_page_config(
        page_title="cbir",
        page_icon=_icon(),
        layout="wide",
        initial_sidebar_state=PANEL_PX,
    )
    pages = [
        st.Page(search_page.show, title="Search", url_path="search", default=True),
        st.Page(compare_page.show, title="Whole or region", url_path="compare"),
        st.Page(teach_page.show, title="Teach", url_path="teach"),
        st.Page(layers_page.show, title="Which layer?", url_path="layers"),
        st.Page(lab_page.show, title="Lab", url_path="lab"),
        st.Page(duplicates_page.show, title="Duplicates", url_path="duplicates"),
        st.Page(collection_page.show, title="Collection", url_path="collection"),
    ]
    page = st.navigation(pages, position="top")
    st.html(STYLE)
    try:
        session()
    except CbirError as error:
        st.error(plain(str(error)))
        return
    state.start()
    query_panel.show()
    state.write_url()
    if st.session_state.error:
        st.error(plain(st.session_state.error))
        st.session_state.error = ""
    page.run()


main()
