"""Photos that are picked among the hits, and saved with a table as one ZIP file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import streamlit as st

from indexer.errors import CbirError
from retrieval.query import Hit
from ui.browser.figures import plain
from ui.browser.session import session
from ui.zipped_hits import require_bounded, zip_hits

ALL = "pick-all"


def show(hits: Sequence[Hit], shown: Sequence[Hit]) -> None:
    """Draw what can be done with the hits that are picked; `shown` are those of this page."""
    ids = _picked()
    picked = [hit for hit in hits if hit.image_id in ids]
    st.session_state[ALL] = all(hit.image_id in ids for hit in shown)
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="picking"):
        st.checkbox(
            "Pick all shown", key=ALL, on_change=_all, args=([hit.image_id for hit in shown],)
        )
        if not picked:
            return
        count = len(picked)
        st.button("Clear", key="pick-none", on_click=ids.clear, type="tertiary")
        try:
            require_bounded(session().store, picked)
        except CbirError as error:
            st.error(plain(str(error)))
            return
        roots = [*session().store.roots().values()]
        st.download_button(
            "Save 1 photo as ZIP" if count == 1 else f"Save {count:,} photos as ZIP",
            data=partial(zip_hits, picked, roots),
            file_name="hits.zip",
            mime="application/zip",
            on_click="ignore",
            key="save-zip",
            help="The photos as they are on disk, and hits.csv, a table of them.",
        )


def tick(hit: Hit, name: str) -> None:
    """Draw the box that picks a hit."""
    key = f"pick-{hit.image_id}"
    st.session_state[key] = hit.image_id in _picked()
    st.checkbox(
        f"Pick {plain(name)}",
        key=key,
        on_change=_turn,
        args=(hit.image_id,),
        label_visibility="collapsed",
    )


def _picked() -> set[int]:
    picked: set[int] = st.session_state.setdefault("picked", set())
    return picked


def _turn(image_id: int) -> None:
    _picked().symmetric_difference_update({image_id})


def _all(image_ids: Sequence[int]) -> None:
    if st.session_state[ALL]:
        _picked().update(image_ids)
    else:
        _picked().difference_update(image_ids)
