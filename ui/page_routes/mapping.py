"""The map of the collection over HTTP: where its images lie, their groups, and their pictures."""

from __future__ import annotations

import sys
from typing import Any, get_args

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from indexer.errors import InvalidQueryError
from ui.answers import allowed_of
from ui.api.problems import NotFoundError
from ui.api.service import Wanted
from ui.asked import Asked
from ui.drawn_map import DrawnMap, draw_sheet, drawn_map
from ui.map_groups import GroupedBy, Groups, group_images
from ui.page_routes.answering import asked_of, number_in, work_for
from ui.page_routes.scripts import KEPT
from ui.printable import printable
from ui.shown import Shown

NUMBER_BYTES = 32  # of Python, in a list
UNDRAWN = "The map is not laid out as the collection is now; load the page again."


async def show_points(request: Request) -> Response:
    """Answer with the images on the map, and which of them pass the filters.

    Little-endian: N float64 ids, N int32 that are 1 for those that pass, 2N float32 coordinates
    from 0 to 1, N float32 shapes (width / height). N follows from the size, 24 bytes an image.
    """

    def find(shown: Shown, _wanted: Wanted) -> bytes:
        drawn = _require_map(shown)
        passes = _passing(shown, drawn, asked_of(request, shown)[0])
        parts = (
            drawn.image_ids.astype("<f8"),
            passes.astype("<i4"),
            drawn.points.astype("<f4"),
            drawn.shapes.astype("<f4"),
        )
        return b"".join(part.tobytes() for part in parts)

    data = await work_for(request, find)
    headers = {"Cache-Control": "no-store"}
    return Response(data, media_type="application/octet-stream", headers=headers)


def _passing(shown: Shown, drawn: DrawnMap, asked: Asked) -> Any:
    allowed = allowed_of(shown, asked)
    if allowed is None:
        return np.ones(len(drawn.image_ids), np.bool_)
    return allowed.has(drawn.image_ids)


async def list_groups(request: Request) -> Response:
    """Answer with the groups that the images on the map are coloured by, in its order."""
    by = _grouped_by(request.query_params.get("by", ""))

    def find(shown: Shown, _wanted: Wanted) -> dict[str, Any]:
        drawn = _require_map(shown)
        groups = shown.kept.get(
            shown.as_of_now("groups", by),
            lambda: group_images(shown.store, drawn.image_ids.tolist(), by),
            lambda found: NUMBER_BYTES * len(found.numbers),
        )
        return _as_dict(groups)

    return JSONResponse(await work_for(request, find))


def _as_dict(groups: Groups) -> dict[str, Any]:
    named = zip(groups.names, groups.counts, strict=True)
    return {
        "groups": [{"name": printable(name), "count": count} for name, count in named],
        "numbers": groups.numbers,
        "rest": groups.rest,
    }


async def show_sheet(request: Request) -> Response:
    """Answer with a sheet of small pictures; `v` in its address changes with the collection."""
    number = number_in(request, "n")

    def find(shown: Shown, _wanted: Wanted) -> bytes:
        drawn = _require_map(shown)
        key = shown.as_of_now("sheet", number)
        return shown.kept.get(key, lambda: draw_sheet(shown, drawn, number), sys.getsizeof)

    data = await work_for(request, find)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": KEPT})


def _require_map(shown: Shown) -> DrawnMap:
    drawn = drawn_map(shown)
    if drawn is None:
        raise NotFoundError(UNDRAWN)
    return drawn


def _grouped_by(text: str) -> GroupedBy:
    known: tuple[GroupedBy, ...] = get_args(GroupedBy)
    for by in known:
        if by == text:
            return by
    raise InvalidQueryError(
        f"by in the address is {printable(text)!r}; it must be one of {', '.join(known)}."
    )
