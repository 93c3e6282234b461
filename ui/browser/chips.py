"""Chips above the hits: what restricts them, and what is asked beside the query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath

import streamlit as st

from ui.browser import further, state
from ui.browser.figures import plain
from ui.browser.session import session

LONGEST = 48  # characters of a chip


@dataclass(frozen=True)
class Chip:
    """A part of what is asked: its name for the program, its text, and how it is removed."""

    key: str
    text: str
    remove: Callable[[], None]


def show(*, with_further: bool = False) -> None:
    """Draw a chip for each filter, and for each further photo and word; a click removes it."""
    chips = [*(_further() if with_further else ()), *_filters()]
    if not chips:
        return
    with st.container(horizontal=True, gap="xsmall", key="chips"):
        for chip in chips:
            st.button(
                f"{plain(_short(chip.text))} ✕",
                key=f"chip-{chip.key}",
                help=f"Remove: {plain(chip.text)}",
                on_click=_remove,
                args=(chip,),
            )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _remove(chip: Chip) -> None:
    chip.remove()
    state.to_first_page()


def _further() -> list[Chip]:
    weights = further.weights()
    infos = session().store.image_infos(weights)
    chips = [
        Chip(
            f"further-{image_id}",
            f"{'like' if weight > 0 else 'unlike'} {infos[image_id].path.name}",
            partial(further.drop, image_id),
        )
        for image_id, weight in weights.items()
        if image_id in infos
    ]
    word = state.further_word()
    return chips + (
        [Chip("word", f"like {word}", partial(_clear, "also_text", ""))] if word else []
    )


def _filters() -> list[Chip]:
    wanted = state.wanted_images()
    chips = []
    if wanted.folder is not None:
        folder = f"folder {_last(str(wanted.folder))}"
        chips.append(Chip("folder", folder, partial(_clear, "folder", None)))
    if wanted.name:
        chips.append(Chip("name", f"name {wanted.name}", partial(_clear, "name", "")))
    if wanted.since is not None:
        chips.append(Chip("since", f"from {wanted.since}", partial(_clear, "since", None)))
    if wanted.until is not None:
        chips.append(Chip("until", f"until {wanted.until}", partial(_clear, "until", None)))
    chips += [Chip(f"tag-{tag}", f"tag {tag}", partial(_untag, tag)) for tag in wanted.tags]
    if wanted.where:
        chips.append(Chip("where", wanted.where, _drop_where))
    return chips


def _last(folder: str) -> str:
    """Return the last two parts of a folder, by which it is known."""
    parts = PurePath(folder).parts
    return folder if len(parts) <= 3 else "…/" + "/".join(parts[-2:])


def _clear(key: str, empty: object) -> None:
    st.session_state[key] = empty


def _untag(tag: str) -> None:
    st.session_state.tags = [name for name in st.session_state.tags if name != tag]


def _drop_where() -> None:
    st.session_state.where = st.session_state.where_applied = ""
