"""Lists of images on a page: what the grid component is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from retrieval.query import Hit
from ui.answers import as_rows
from ui.asked import Asked
from ui.browser import components
from ui.browser.top import picture_of
from ui.shown import Shown

FIRST = 50  # hits that come with the page; further ones are fetched as it is scrolled


def show(
    shown: Shown,
    asked: Asked,
    hits: Sequence[Hit],
    key: str,
    *,
    heading: str = "",
    note: str = "",
    more: str | None = None,
    asks: bool = False,
    scores: bool = True,
    compact: bool = False,
    with_query: bool = True,
    ranks: bool = False,
    counted: str | None = None,
) -> None:
    """Draw images in rows; `more` names the file beside the page that has further ones.

    A click opens an image, or asks with it if `asks`. Without `with_query` they are shown alone.
    With `ranks`, the rank is shown in place of the score. Images can be labelled where it is said
    which labels are `counted`: until these are the last ones that were asked for, the list waits.
    """
    rows = as_rows(shown, hits, scores=scores and not ranks)
    components.grid(
        {
            "list": f"{key}?{asked.address()}",
            "rows": rows,
            "more": more,
            "heading": heading,
            "note": note,
            "query": _query(shown, asked) if with_query else None,
            "teach": counted is not None,
            "counted": counted or "",
            "ranks": ranks,
            "asks": asks,
            "compact": compact,
            "also": asked.has_query and not asks,
        },
        key,
    )


def _query(shown: Shown, asked: Asked) -> dict[str, Any] | None:
    picture = picture_of(shown, asked)
    if picture is None:
        return None
    return picture | {"boxes": [list(box.as_tuple()) for box in asked.box]}
