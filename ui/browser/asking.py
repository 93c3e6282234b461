"""What a page is asked: read from its address, which the bar above it writes."""

from __future__ import annotations

import streamlit as st

from indexer.errors import CbirError
from ui.answers import usable
from ui.asked import Asked, image_number
from ui.browser.session import session

OPEN = "hit"  # the parameter that says which image is open


def asked() -> Asked:
    """Return what is asked in this run of a page, as far as it can be asked of the store."""
    return read()[0]


def read() -> tuple[Asked, list[str]]:
    """Return what is asked, and why some of the address was left out."""
    parameters = {name: st.query_params.get_all(name) for name in st.query_params}
    wanted, problems = Asked.read(parameters)
    usable_part, more = usable(session(), wanted)
    return usable_part, [*problems, *more, *_open_problems()]


def _open_problems() -> list[str]:
    """Return why the image that the address opens cannot be shown, if it cannot."""
    opened = st.query_params.get(OPEN)
    try:
        if opened:
            session().gallery.info(image_number(opened))
    except CbirError as error:
        return [str(error)]
    return []
