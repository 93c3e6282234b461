"""Hits as cards: picture with the matched box, score, name, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from indexer.store.records import ImageInfo
from retrieval.query import Hit
from ui.browser import detail, picking, state
from ui.browser.figures import figure
from ui.browser.session import session

LONGEST = 120  # characters of what fields of the user's own say on a card
CARD_PX = {"card": 216, "small": 140}


@dataclass(frozen=True)
class Action:
    """A button under a card: its text, what it says on hovering, and what it does."""

    label: str
    help: str
    act: Callable[[Hit], None]
    chosen: Callable[[Hit], bool] = lambda _hit: False
    disabled: bool = False


def search_with(hit: Hit) -> None:
    """Make the image of a hit the query."""
    state.take_image(hit.image_id)


USE = Action("Find similar", "Search with this image", search_with)


def show(
    hits: Sequence[Hit],
    key: str,
    *,
    actions: Sequence[Action] = (USE,),
    marks: Sequence[Action] = (),
    score: Callable[[Hit], str] | None = None,
    opens: bool = True,
    look: str = "card",
    pickable: bool = False,
) -> None:
    """Show hits as cards that wrap to the width of the screen.

    `pickable` ones can be ticked; `marks` are small buttons beside that.
    """
    infos = session().store.image_infos(hit.image_id for hit in hits)
    known = [hit for hit in hits if hit.image_id in infos]
    pictures = session().gallery.thumbnails([infos[hit.image_id] for hit in known])
    with_said = look == "card" and any(
        hit.annotations for hit in known
    )  # all cards are of one height
    with st.container(horizontal=True, gap="small"):
        for hit, picture in zip(known, pictures, strict=True):
            info = infos[hit.image_id]
            title = _title(hit) if score is None else score(hit)
            place = f"{look}-{key}-{hit.rank}"  # the style sheet knows cards by it
            with st.container(border=True, width=CARD_PX[look], gap="xsmall", key=place):
                said = short(hit.annotations) if with_said else None
                st.html(_card(hit, info, picture, title, said, look))
                with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
                    _buttons(hit, key, actions, opens)
                    if pickable:
                        _marks(hit, key, marks, info.path.name)


def _title(hit: Hit) -> str:
    verdict = f" · {hit.verdict}" if hit.verdict else ""
    return f"{hit.rank} · {hit.score:.3f}{verdict}"


def short(annotations: Mapping[str, str]) -> str:
    """Return what fields of the user's own say, in a line: the values alone, cut where long."""
    said = " · ".join(" ".join(text.split()) for text in annotations.values())
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"


def _card(
    hit: Hit, info: ImageInfo, picture: bytes, title: str, said: str | None, look: str
) -> str:
    where = f", matched box {hit.region}" if hit.region is not None else ""
    return figure(
        picture,
        f"Hit {hit.rank}: {info.path.name}, score {hit.score:.3f}{where}",
        title=title,
        name=info.path.name,
        said=said,
        box=hit.region,
        quad=hit.quad,
        size=(info.width, info.height),
        look=look,
    )


def _buttons(hit: Hit, key: str, actions: Sequence[Action], opens: bool) -> None:
    if opens and st.button(
        "Open", key=f"{key}-open-{hit.rank}", help="Look closer", type="tertiary"
    ):
        detail.show(hit)
    for place, action in enumerate(actions):
        _button(hit, f"{key}-{place}-{hit.rank}", action)


def _marks(hit: Hit, key: str, marks: Sequence[Action], name: str) -> None:
    """Draw the small buttons and the box to tick, which stay together in a line."""
    with st.container(horizontal=True, gap="xsmall", width="content", vertical_alignment="center"):
        for place, action in enumerate(marks):
            _button(hit, f"{key}-mark-{place}-{hit.rank}", action)
        picking.tick(hit, name)


def _button(hit: Hit, key: str, action: Action) -> None:
    st.button(
        action.label,
        key=key,
        help=action.help,
        type="primary" if action.chosen(hit) else "tertiary",
        on_click=action.act,
        args=(hit,),
        disabled=action.disabled,
    )


def as_hits(image_ids: Sequence[int]) -> list[Hit]:
    """Return images of the collection in the shape of hits, to be shown as cards."""
    infos = session().store.image_infos(image_ids)
    return [
        Hit(rank, image_id, infos[image_id].path, 1.0, None)
        for rank, image_id in enumerate((i for i in image_ids if i in infos), 1)
    ]
