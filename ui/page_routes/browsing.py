"""Ways into the collection over HTTP: how many images each month has."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from indexer.store.statistics import count_months
from ui.api.service import Wanted
from ui.page_routes.answering import work_for
from ui.shown import NAME_BYTES, Shown


async def list_months(request: Request) -> Response:
    """Answer with the months in which photos were taken, in order, and how many then."""

    def find(shown: Shown, _wanted: Wanted) -> dict[str, Any]:
        counts = shown.kept.get(
            shown.as_of_now("months"),
            lambda: count_months(shown.store),
            lambda found: NAME_BYTES * len(found),
        )
        months = [
            {"year": year, "month": month, "count": count}
            for (year, month), count in counts.items()
        ]
        return {"months": months, "undated": shown.census().undated}

    return JSONResponse(await work_for(request, find))
