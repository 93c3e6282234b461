"""Hits, images of the collection and filters over HTTP, a part at a time as somebody scrolls."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from indexer.errors import InvalidQueryError
from indexer.store.filter_queries import FIELDS
from indexer.store.filters import count_folders
from indexer.store.ordering import shapes_of
from ui.answers import DEPTHS, as_hits, as_rows, in_order, search
from ui.api.service import Wanted
from ui.page_routes.answering import asked_of, ids_in, number_in, work_for
from ui.printable import printable
from ui.shown import NAME_BYTES, Shown
from ui.zipped_hits import legible

PART = 48  # rows, unless asked
MOST = 500
THOUSANDTHS = 1000  # in which shapes are told, as numbers of 16 bits
NOTHING = "There is nothing to search for: no picture, and no word."


async def list_hits(request: Request) -> Response:
    """Answer with hits of what is asked, as the page draws them."""
    first = number_in(request, "from", 0)
    stop = first + number_in(request, "count", PART, MOST)

    def find(shown: Shown, wanted: Wanted) -> dict[str, Any]:
        asked, problems = asked_of(request, shown)
        if not asked.has_query:
            raise InvalidQueryError(" ".join(problems) or NOTHING)
        depth = next((depth for depth in DEPTHS if stop <= depth), DEPTHS[-1])
        hits = search(shown, asked, depth, wanted)
        may_be_more = len(hits) == depth < DEPTHS[-1]
        return {
            "hits": as_rows(shown, hits[first:stop]),
            "total": len(hits),
            "more": len(hits) > stop or may_be_more,
        }

    return JSONResponse(await work_for(request, find))


async def list_images(request: Request) -> Response:
    """Answer with images of the collection that pass the filters, the newest first.

    With `ids`, these images are the answer, in their order, without those that are gone.
    """
    if "ids" in request.query_params:
        return await _list_named(request, ids_in(request))
    first = number_in(request, "from", 0)
    stop = first + number_in(request, "count", PART, MOST)

    def find(shown: Shown, _wanted: Wanted) -> dict[str, Any]:
        ids = in_order(shown, asked_of(request, shown)[0])
        return {
            "hits": as_rows(shown, as_hits(shown, ids[first:stop].tolist()), scores=False),
            "total": len(ids),
            "more": len(ids) > stop,
        }

    return JSONResponse(await work_for(request, find))


async def _list_named(request: Request, ids: list[int]) -> Response:
    def find(shown: Shown, _wanted: Wanted) -> dict[str, Any]:
        rows = as_rows(shown, as_hits(shown, ids), scores=False)
        return {"hits": rows, "total": len(rows), "more": False}

    return JSONResponse(await work_for(request, find))


async def list_shapes(request: Request) -> Response:
    """Answer with the shapes of all images that `list_images` lists, in its order.

    Each is width / height in thousandths, as an unsigned little-endian number of 16 bits: what a
    page needs to know how long the list is, and where each image of it will be.
    """

    def find(shown: Shown, _wanted: Wanted) -> bytes:
        asked = asked_of(request, shown)[0]
        shapes = shown.kept.get(
            shown.as_of_now("shapes", asked.filter),
            lambda: shapes_of(shown.store, in_order(shown, asked)),
            lambda found: found.nbytes,
        )
        return np.clip(np.rint(THOUSANDTHS * shapes), 1, 2**16 - 1).astype("<u2").tobytes()

    data = await work_for(request, find)
    return Response(
        data, media_type="application/octet-stream", headers={"Cache-Control": "no-store"}
    )


async def list_filters(request: Request) -> Response:
    """Answer with what filters may name: folders, tags and fields."""

    def find(shown: Shown, _wanted: Wanted) -> dict[str, Any]:
        return {
            "folders": _folders(shown),
            "tags": shown.tag_counts(),
            "fields": [*FIELDS, *shown.own_fields()],
        }

    return JSONResponse(await work_for(request, find))


def _folders(shown: Shown) -> list[dict[str, Any]]:
    """Return the folders, how many images lie below each, and the part of its path that tells."""
    counts = shown.kept.get(
        shown.as_of_now("folder counts"),
        lambda: count_folders(shown.store),
        lambda found: NAME_BYTES * len(found),
    )
    texts = _telling_parts(shown, [str(folder) for folder in counts])
    return [
        {"path": legible(str(folder)), "text": printable(text), "count": count}
        for (folder, count), text in zip(counts.items(), texts, strict=True)
    ]


def _telling_parts(shown: Shown, folders: list[str]) -> list[str]:
    """Return the end of each path, from the name of its root on; all of it where two are alike."""
    roots = sorted((str(root) for root in shown.store.roots().values()), key=len, reverse=True)
    ends = []
    for folder in folders:
        root = next((root for root in roots if _lies_at(folder, root)), "")
        name = root.replace("\\", "/").rstrip("/").rpartition("/")[2]
        ends.append(name + folder[len(root) :] if name else folder)
    alike = Counter(ends)
    return [end if alike[end] == 1 else folder for end, folder in zip(ends, folders, strict=True)]


def _lies_at(folder: str, root: str) -> bool:
    return folder == root or folder.startswith((f"{root}/", f"{root}\\"))
