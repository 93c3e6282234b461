"""Query pictures over HTTP: dropped on a page, and shown there."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ui.api.images import KEPT_FOR_GOOD
from ui.api.limits import Limits
from ui.page_routes.answering import UploadTooLargeError
from ui.query_pictures import query_pictures

NAME_HEADER = "x-name"  # percent-encoded
LONGEST_NAME = 255
READ_ON = 10  # times the limit: a browser that is cut off while it sends shows no reason


async def put_query(request: Request) -> Response:
    """Keep a picture that a visitor asks with; answer with its key and its size."""
    name = unquote(request.headers.get(NAME_HEADER, ""))[:LONGEST_NAME] or "picture"
    limits: Limits = request.app.state.service.limits
    data = await _read(request, name, limits)
    key = await run_in_threadpool(query_pictures().put, data, name)
    facts = query_pictures().get(key).facts
    found = {"key": key, "name": name, "width": facts.width, "height": facts.height}
    return JSONResponse(found)


async def show_query(request: Request) -> Response:
    """Answer with a query picture as it is shown; its key is that of its content."""
    preview = query_pictures().get(request.path_params["key"]).preview
    return Response(preview, media_type="image/jpeg", headers={"Cache-Control": KEPT_FOR_GOOD})


async def _read(request: Request, name: str, limits: Limits) -> bytes:
    """Return the body; raises `UploadTooLargeError`, and `HTTPException` where it is too slow."""
    announced = request.headers.get("content-length", "")
    size = 0
    parts: list[bytes] = []
    try:
        async with asyncio.timeout(limits.body_s):
            async for part in request.stream():
                size += len(part)
                if size > READ_ON * limits.body_bytes:
                    break
                if size <= limits.body_bytes:
                    parts.append(part)
    except TimeoutError as error:
        raise HTTPException(408, f"{name} did not arrive within {limits.body_s:g} s.") from error
    if size > limits.body_bytes:
        size = max(size, int(announced) if announced.isdigit() else 0)
        raise UploadTooLargeError(
            f"{name} has {size / 1e6:,.0f} MB; a query picture may have "
            f"{limits.body_bytes / 1e6:g} MB. Save it smaller, or index its folder."
        )
    return b"".join(parts)
