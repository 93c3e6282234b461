"""A picture on which the user draws a box; images can be pasted on it."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from indexer.features.regions import Region

HERE = Path(__file__).parent
MAX_BYTES = 40_000_000
KEY = "box_picker"
CURRENT = "box_picker_current"  # where the session keeps the key of the picture that is shown


def _component() -> Callable[..., Any]:
    html, css, js = (
        (HERE / f"box_picker.{suffix}").read_text("utf-8") for suffix in ("html", "css", "js")
    )
    mount: Callable[..., Any] = st.components.v2.component("cbir_box", html=html, css=css, js=js)
    return mount


def draw_on(
    src: str | None,
    alt: str,
    size: tuple[int, int],
    box: Region | None,
    *,
    on_drawn: Callable[[], None],
    on_pasted: Callable[[], None],
    on_refused: Callable[[], None],
) -> None:
    """Show a picture, given as a data URL, with `box` in pixels of the original of `size`.

    The callbacks ask `drawn_box`, `pasted_bytes` and `refusal` what happened.
    """
    # A picture is a component of its own: one that is given another picture may keep the old one.
    key = st.session_state[CURRENT] = f"{KEY}-{zlib.crc32((src or '').encode()):08x}"
    width, height = size
    shares = None
    if box is not None:
        shares = [box.x0 / width, box.y0 / height, box.x1 / width, box.y1 / height]
    _component()(
        key=key,
        data={"src": src, "alt": alt, "box": shares, "maxBytes": MAX_BYTES},
        on_drawn_change=on_drawn,
        on_pasted_change=on_pasted,
        on_refused_change=on_refused,
    )


def drawn_box(width: int, height: int) -> Region | None:
    """Return the box that was just drawn, in pixels of an original of this size; None: removed."""
    drawn = _value("drawn") or {}
    shares = drawn.get("box")
    if not (isinstance(shares, (list, tuple)) and len(shares) == 4):
        return None
    x0, y0, x1, y1 = (min(1.0, max(0.0, float(share))) for share in shares)
    left, top = min(int(x0 * width), width - 1), min(int(y0 * height), height - 1)
    right, bottom = max(left + 1, round(x1 * width)), max(top + 1, round(y1 * height))
    return Region(left, top, min(right, width), min(bottom, height))


def pasted_bytes() -> bytes:
    """Return the file that was just pasted; empty where the browser sent something else."""
    source = str((_value("pasted") or {}).get("src", ""))
    try:
        return base64.b64decode(source.partition(";base64,")[2], validate=True)
    except binascii.Error:
        return b""


def refusal() -> str:
    """Return why the browser did not send what was pasted."""
    return str(_value("refused") or "")


def _value(name: str) -> Any:
    state = st.session_state.get(st.session_state.get(CURRENT, KEY))
    return None if state is None else state.get(name)
