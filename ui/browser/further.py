"""What is asked beside the query: photos that hits are to be like, or unlike."""

from __future__ import annotations

import streamlit as st

from indexer.errors import CbirError
from ui.browser.session import session
from ui.further import UNLIKE, Weighted

IN_URL = ("also", "unlike")
MOST = 16  # photos; each takes a search of its own time


def start() -> None:
    """Read the further photos from the URL, once a visit; raises `CbirError` for wrong ones."""
    st.session_state.further = {}
    for name, weight in zip(IN_URL, (1.0, -UNLIKE), strict=True):
        for text in filter(None, st.query_params.get(name, "").split(",")):
            if not (text.isascii() and text.isdigit() and len(text) < 10):
                raise CbirError(f"{text!r} is not the number of an image in this collection.")
            add(session().gallery.info(int(text)).id, weight)


def in_url() -> dict[str, str | None]:
    """Return what the URL says of them, by the names of parameters."""
    weights: dict[int, float] = st.session_state.further
    alike = ",".join(str(i) for i, weight in weights.items() if weight > 0)
    unlike = ",".join(str(i) for i, weight in weights.items() if weight < 0)
    return {"also": alike or None, "unlike": unlike or None}


def images() -> list[Weighted]:
    """Return the further photos with their weights, as fields of a `Query`."""
    return [({"image_id": i}, weight) for i, weight in weights().items()]


def weights() -> dict[int, float]:
    """Return the weights of the further photos that the collection has, by id."""
    chosen: dict[int, float] = st.session_state.further
    known = session().store.image_infos(chosen) if chosen else {}
    return {i: weight for i, weight in chosen.items() if i in known}


def add(image_id: int, weight: float) -> None:
    """Ask with a photo, too: for images like it, or unlike it where `weight` is below 0."""
    chosen: dict[int, float] = st.session_state.further
    if image_id not in chosen and len(chosen) >= MOST:
        st.session_state.error = f"A query takes {MOST} further photos; remove one of them first."
        return
    chosen[image_id] = weight


def drop(image_id: int) -> None:
    """Ask without a photo."""
    st.session_state.further.pop(image_id, None)


def clear() -> None:
    """Ask with the query alone: without further photos, and without a word beside it."""
    st.session_state.further = {}
    st.session_state.also_text = ""
