"""Duplicates: searching for them, and deciding about one group after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import get_args

import streamlit as st

from indexer.errors import CbirError
from retrieval.duplicates.groups import GroupKind
from ui.answers import allowed_of
from ui.browser import asking, duplicate_pictures, duplicates_search
from ui.browser.figures import plain
from ui.browser.reviewing import Review, next_open, state_of
from ui.browser.session import session
from ui.duplicates_report import TITLES, groups_as_csv

WHAT = (
    "Find photos that are there twice, as the same file, in another size or form, or as a part of "
    "another picture, and decide which one to keep."
)
FIRST = "The first search finds the keypoints of all photos, which takes a while and is kept."


def show() -> None:
    """Draw the page."""
    if error := st.session_state.pop("twin_error", ""):
        st.error(plain(error))
    st.html(duplicate_pictures.STYLE)
    if not duplicates_search.has_searched():
        st.subheader("Which photos are there twice?")
        st.write(WHAT)
        st.caption(FIRST)
    row = st.container(horizontal=True)
    kinds = (
        row.container(horizontal=True, gap="xsmall") if duplicates_search.has_searched() else row
    )
    duplicates_search.show(row)
    try:
        review = _review()
    except CbirError as error:
        st.error(plain(str(error)))
        return
    if not review.groups:
        if duplicates_search.has_searched():
            st.info(f"No duplicates among {review.found.compared:,} images.")
        return
    with_decided = bool(st.session_state.get("twin_decided"))  # its toggle is below
    with kinds:
        kind = _choose_kind(review, with_decided)
    numbers = review.numbers(kind, with_decided=with_decided)
    _show_group(review, numbers, with_decided)
    _files(review, [n for n in numbers if with_decided or not review.verdict(n)])


# --- one group at a time --------------------------------------------------------------------------


def _review() -> Review:
    """Return what this visitor goes through, read again where the store has changed."""
    shared, asked = session(), asking.asked()
    wanted = asked.filter
    before: Review | None = st.session_state.get("review")
    is_same = st.session_state.get("review_of") == (str(shared.store.path), wanted)
    if (
        before is not None
        and is_same
        and (duplicates_search.is_running() or before.key == state_of(shared.store))
    ):
        return before
    with st.spinner("Reading what was found …"):
        review = Review.of(shared.store, allowed_of(shared, asked), before)
    st.session_state.review = review
    st.session_state.review_of = str(shared.store.path), wanted
    return review


def _choose_kind(review: Review, with_decided: bool) -> GroupKind | None:
    """Draw the filter by kind, if there are several; return the chosen one.

    It is made of buttons: all other choices keep the arrow keys to themselves once they are used.
    """
    counts = {
        kind: len(review.numbers(kind, with_decided=with_decided)) for kind in get_args(GroupKind)
    }
    kinds: list[GroupKind | None] = [None, *(kind for kind, count in counts.items() if count)]
    chosen: GroupKind | None = st.session_state.get("twin_kind")
    chosen = chosen if chosen in kinds else None
    if len(kinds) < 3:
        return None
    for kind in kinds:
        text = "All" if kind is None else f"{TITLES[kind]} ({counts[kind]:,})"
        st.button(
            text,
            key=f"twin-kind-{kind or 'all'}",
            type="primary" if kind == chosen else "secondary",
            on_click=_take_kind,
            args=(kind,),
        )
    return chosen


def _take_kind(kind: GroupKind | None) -> None:
    st.session_state.twin_kind = kind


def _show_group(review: Review, numbers: list[int], with_decided: bool) -> None:
    def is_open(number: int) -> bool:
        return with_decided or not review.verdict(number)

    opened = [n for n in numbers if is_open(n)]
    if not opened:
        done = len(numbers) or len(review.groups) - len(review.found.groups)
        st.success(f"All {done:,} groups are decided." if done else "There is no such group.")
        _take_back(review)
        return
    here = next((n for n in opened if review.ids[n] == review.at), opened[0])
    place = numbers.index(here)
    _heading(review, numbers, place, is_open)
    described = review.describe(session().store, [here])

    def choose(member: int) -> None:
        _decide(review, numbers, place, lambda: review.choose(
            session().store, review.groups[here], member
        ))  # fmt: skip

    quads = review.outlines(session().store, review.groups[here])
    after = _neighbour(numbers, place, 1, is_open)
    upcoming = [] if after is None else review.infos(session().store, numbers[after])
    duplicate_pictures.show(described, review.groups[here], quads, choose, upcoming)


def _heading(
    review: Review, numbers: list[int], place: int, is_open: Callable[[int], bool]
) -> None:
    """Draw which group this is, and the buttons that go on and decide."""
    group = review.groups[numbers[place]]
    verdict = review.verdict(numbers[place])
    decided = sum(bool(review.verdict(n)) for n in numbers)
    done = f" · {decided:,} decided" if decided else ""
    title = f"{place + 1:,} of {len(numbers):,}: {TITLES[group.kind]}"
    said = f"{len(group.members):,} photos{done}" + (f" · {verdict}" if verdict else "")
    head = st.container(horizontal=True, vertical_alignment="center", gap="small", key="twins-head")
    with head:
        st.subheader(title, anchor=False, width="content")
        st.caption(said, width="stretch")
        for label, key, step in (("Previous", "Left", -1), ("Next", "Right", 1)):
            target = _neighbour(numbers, place, step, is_open)
            st.button(
                label,
                key=f"twin-go-{key}",
                shortcut=key,
                disabled=target is None,
                on_click=_go,
                args=(review, numbers, target),
            )
        st.button(
            "Keep all",
            key="twin-keep",
            shortcut="K",
            help="They are not shown as duplicates of each other again",
            on_click=_decide,
            args=(review, numbers, place, partial(review.keep, session().store, group)),
        )
        _take_back(review)


def _neighbour(
    numbers: list[int], place: int, step: int, is_open: Callable[[int], bool]
) -> int | None:
    """Return the place of the nearest open group in a direction, None where there is none."""
    places = range(place + step, len(numbers) if step > 0 else -1, step)
    return next((p for p in places if is_open(numbers[p])), None)


def _take_back(review: Review) -> None:
    st.button(
        "Take back",
        key="twin-undo",
        shortcut="U",
        disabled=not review.steps,
        help="Takes the last decision of this visit back",
        on_click=_undo,
        args=(review,),
    )


def _go(review: Review, numbers: list[int], place: int) -> None:
    review.at = review.groups[numbers[place]].image_ids


def _decide(review: Review, numbers: list[int], place: int, decide: Callable[[], None]) -> None:
    """Decide about the group on screen, and go on to the next that is open.

    A key that is pressed before the next group is drawn decides nothing: it was meant for that one.
    """
    if review.at not in ((), review.groups[numbers[place]].image_ids):
        return
    try:
        decide()
    except CbirError as error:
        st.session_state.twin_error = str(error)
        return
    target = next_open(numbers, place, lambda n: not review.verdict(n))
    review.at = review.groups[numbers[target]].image_ids


def _undo(review: Review) -> None:
    try:
        review.take_back(session().store)
    except CbirError as error:
        st.session_state.twin_error = str(error)


# --- files ----------------------------------------------------------------------------------------


def _files(review: Review, numbers: list[int]) -> None:
    """Offer the table and the list of copies, made when they are asked for."""
    store = session().store
    st.divider()
    st.toggle("Show decided groups", key="twin_decided")
    with st.container(horizontal=True):
        st.download_button(
            "Download the table",
            lambda: groups_as_csv(review.describe(store, numbers)),
            "duplicates.csv",
            "text/csv",
            on_click="ignore",
            help="A row a photo, of the groups chosen above",
        )
        st.download_button(
            "Download the list of copies",
            lambda: review.list_copies(store),
            "copies.txt",
            "text/plain",
            on_click="ignore",
            help="A path a line: what was decided to be a copy, and in open groups all photos but "
            "the first",
        )
    st.caption(
        "Nothing is deleted or moved here. To move copies into a folder of their own, and back if "
        "need be, run in a terminal:"
    )
    st.code("cbir duplicates --move-to FOLDER", language=None)
