"""The session of a visitor: the store that is shown to all, and a turn at it."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

import streamlit as st

from ui.shown import Shown, shown


def session() -> Shown:
    """Return what is shared; raises `CbirError` without a store."""
    return shown(os.environ.get("CBIR_STORE"))


def turn() -> AbstractContextManager[None]:
    """Wait for a turn at the store, and hold it: one search at a time, see `Turns`."""
    return session().turns.turn(require_wanted)


def require_wanted() -> None:
    """End the run of a page that a newer one has replaced, or whose page was closed."""
    st.session_state.get("wanted")  # Streamlit ends such a run wherever it reads its state
