"""Teach: hits labelled right or wrong, the collection ranked by them, and concepts made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from indexer.errors import CbirError
from retrieval.query import Hit, Query
from ui import concepts
from ui.answers import HIT_BYTES, plain_query_of, search_query, without_data
from ui.asked import Asked
from ui.browser import asking, components, listing
from ui.browser.search_page import invite
from ui.browser.session import require_wanted, session, turn
from ui.printable import printable
from ui.shown import Shown

SHOWN = 48
SUGGESTED = 8
AFTER = 8  # new labels, after which the hits are ranked again
TEACHING = "teaching"  # the component that labels and names come from


@dataclass(frozen=True)
class Ranked:
    """Hits as labels rank them, those that it helps most to label, and why labels do not count."""

    hits: list[Hit]
    suggested: list[Hit]
    problem: str = ""


@dataclass(frozen=True)
class Said:
    """How something ended that a visitor asked for, where; `saved` is a concept that was taught."""

    of: str
    text: str
    bad: bool = False
    saved: str = ""


def show() -> None:
    """Draw the page."""
    shown, asked = session(), asking.asked()
    try:
        ranked = _rank(shown, asked) if asked.has_query else None
    except CbirError as error:
        ranked = Ranked([], [], str(error))
    problem = ranked.problem if ranked else ""
    components.teaching(_data(shown, asked, problem), TEACHING, on_asked=_act)
    if ranked is None:
        invite(shown, asked)
        return
    counted = _counted(asked)
    if ranked.suggested:
        listing.show(
            shown,
            asked,
            ranked.suggested,
            "suggested",
            heading="Label these next",
            note="The ranking is least certain of these: labelling them teaches most.",
            compact=True,
            scores=False,
            counted=signature(counted),
        )
    is_taught = bool(counted) and not problem
    if ranked.hits:
        listing.show(
            shown,
            asked,
            ranked.hits,
            "taught",
            heading=_heading(counted) if is_taught else "Best matches",
            ranks=is_taught,
            counted=signature(counted),
        )


def _heading(counted: Mapping[int, bool]) -> str:
    return "Ranked by 1 label" if len(counted) == 1 else f"Ranked by {len(counted):,} labels"


# --- ranking --------------------------------------------------------------------------------------


def _rank(shown: Shown, asked: Asked) -> Ranked:
    """Return the hits by the labels that count; by the query alone where these teach nothing."""
    query = plain_query_of(shown, asked, rerank=False, k=SHOWN)
    counted = _counted(asked)
    if not counted:
        return Ranked(search_query(shown, query, require_wanted), [])
    try:
        return _rank_by(shown, query, counted)
    except CbirError as error:
        return Ranked(search_query(shown, query, require_wanted), [], str(error))


def _rank_by(shown: Shown, query: Query, labels: Mapping[int, bool]) -> Ranked:
    """Return the ranking by labels; it is kept, so that it holds still."""

    def ask() -> Ranked:
        with turn():
            return Ranked(
                shown.feedback.search(query, labels),
                shown.feedback.suggest(query, labels, SUGGESTED),
            )

    key = shown.as_of_now("taught", without_data(query), signature(labels))
    return shown.kept.get(key, ask, lambda found: HIT_BYTES * len(found.hits))


def _counted(asked: Asked) -> dict[int, bool]:
    """Return the labels that the ranking counts: those of the last time it was asked for."""
    counted: dict[str, dict[int, bool]] = st.session_state.setdefault("counted", {})
    return counted.get(looked_for(asked), {})


def looked_for(asked: Asked) -> str:
    """Return what labels belong to: filters, and ways to compare, do not change what is meant."""
    only = Asked(image=asked.image, picture=asked.picture, text=asked.text, box=asked.box)
    return only.address()


def signature(labels: Mapping[int, bool]) -> str:
    """Return labels in a line; `signature` of ui/frontend/src/label_sets.ts makes the same."""
    return ",".join(f"{i}{'+' if right else '-'}" for i, right in sorted(labels.items()))


# --- what the component shows, and asks for -------------------------------------------------------


def _data(shown: Shown, asked: Asked, problem: str) -> dict[str, Any]:
    said: Said | None = st.session_state.get("taught_said")
    if said is not None and said.of != looked_for(asked):
        said = None
    if problem:
        said = Said("", problem, bad=True)
    try:
        listed = concepts.list_concepts(shown)
    except CbirError as error:
        listed, said = [], Said("", str(error), bad=True)
    return {
        "of": looked_for(asked),
        "query": asked.has_query,
        "counted": signature(_counted(asked)),
        "after": AFTER,
        "said": {"text": printable(said.text), "bad": said.bad} if said else None,
        "saved": said.saved if said else "",
        "concepts": listed,
        "tags": list(asked.tags),
    }


def _act() -> None:
    """Do what the component asks for, and keep how it ended."""
    wanted = components.asked_of(TEACHING)
    asked = asking.asked()
    act = ACTIONS.get(str(wanted.get("do")))
    if act is None or wanted.get("of") != looked_for(asked):
        return  # it was asked on a page that is no longer shown
    st.session_state.pop("taught_said", None)
    try:
        said = act(asked, wanted)
    except CbirError as error:
        said = Said("", str(error), bad=True)
    if said is not None:
        st.session_state.taught_said = replace(said, of=looked_for(asked))


def _count(asked: Asked, wanted: dict[str, Any]) -> None:
    st.session_state.setdefault("counted", {})[looked_for(asked)] = components.labels_in(wanted)


def _save(asked: Asked, wanted: dict[str, Any]) -> Said:
    shown = session()
    query = plain_query_of(shown, asked) if asked.has_query else None
    with turn():
        made = concepts.teach_concept(shown, query, components.labels_in(wanted), _name(wanted))
    return Said("", concepts.said_of(made), saved=made.name)


def _rename(_asked: Asked, wanted: dict[str, Any]) -> Said:
    name, new = _name(wanted), str(wanted.get("to", ""))
    with turn():
        concepts.rename_concept(session(), name, new)
    return Said("", f"{name} is now called {new.strip()}.")


def _remove(_asked: Asked, wanted: dict[str, Any]) -> Said:
    with turn():
        concepts.remove_concept(session(), _name(wanted))
    return Said("", f"{_name(wanted)} is forgotten, and no image has it as a tag any more.")


def _apply(_asked: Asked, _wanted: dict[str, Any]) -> Said:
    with turn():
        made = concepts.apply_concepts(session())
    count = sum(len(tagging.probabilities) for tagging in made)
    names = "1 name" if len(made) == 1 else f"{len(made):,} names"
    return Said("", f"The collection was tagged again: {count:,} tags of {names}.")


def _name(wanted: dict[str, Any]) -> str:
    return str(wanted.get("name", ""))


ACTIONS: dict[str, Callable[[Asked, dict[str, Any]], Said | None]] = {
    "rank": _count,
    "save": _save,
    "rename": _rename,
    "remove": _remove,
    "apply": _apply,
}
