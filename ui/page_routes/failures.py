"""Files that are not found, or that something is wrong with, over HTTP: as a list and a table."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ui.api.service import Wanted
from ui.file_problems import as_table, problems_of
from ui.page_routes.answering import work_for
from ui.printable import printable
from ui.shown import Shown

HEADERS = {
    "Content-Disposition": 'attachment; filename="files.csv"',
    "Cache-Control": "no-store",
}


async def list_problems(request: Request) -> Response:
    """Answer with the files, each with its kind and the reason."""

    def find(shown: Shown, _wanted: Wanted) -> list[dict[str, str]]:
        return [
            {"kind": one.kind, "path": printable(one.path), "reason": printable(one.reason)}
            for one in problems_of(shown)
        ]

    return JSONResponse({"files": await work_for(request, find)})


async def save_problems(request: Request) -> Response:
    """Answer with the files as a CSV table."""

    def table(shown: Shown, _wanted: Wanted) -> bytes:
        return as_table(problems_of(shown))

    return Response(await work_for(request, table), media_type="text/csv", headers=HEADERS)
