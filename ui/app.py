"""The application that the browser shows: pages over one store. `cbir ui` runs this file."""

from __future__ import annotations

import streamlit as st
from PIL import Image, ImageDraw

from indexer.errors import CbirError, StoreNotFoundError
from ui.browser import (
    asking,
    collection_page,
    duplicates_page,
    first_page,
    lab_page,
    modes_page,
    search_page,
    teach_page,
    top,
)
from ui.browser.figures import STYLE, plain
from ui.browser.session import session

PAGES = {
    "": ("Search", search_page.show),
    "modes": ("Modes", modes_page.show),
    "teach": ("Teach", teach_page.show),
    "collection": ("Collection", collection_page.show),
    "duplicates": ("Duplicates", duplicates_page.show),
    "lab": ("Lab", lab_page.show),
}


def _icon() -> Image.Image:
    """Return the page's icon, drawn here: named ones would be fetched from the network."""
    icon = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(icon)
    draw.rounded_rectangle((2, 2, 61, 61), 14, fill="#0f766e")
    draw.rectangle((20, 20, 44, 44), outline="white", width=5)
    return icon


def main() -> None:
    """Draw the page that the address means."""
    st.set_page_config(page_title="cbir", page_icon=_icon(), layout="wide")
    pages = {
        path: st.Page(show, title=title, url_path=path, default=not path)
        for path, (title, show) in PAGES.items()
    }
    page = st.navigation([*pages.values()], position="hidden")
    st.html(STYLE)
    try:
        shown = session()
    except StoreNotFoundError:
        first_page.show(pages["collection"])
        return
    except CbirError as error:
        st.error(plain(str(error)))
        return
    asked, problems = asking.read()
    titles = {path: title for path, (title, _) in PAGES.items()}
    top.show(shown, asked, problems, page.url_path, titles)
    page.run()


main()
