"""The scripts of the pages' components over HTTP."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ui.scripts import scripts

KEPT = "private, max-age=31536000, immutable"  # another script has another name


async def show_script(request: Request) -> Response:
    """Answer with a script, under the name that is made of its content."""
    found = scripts().get(request.path_params["name"])
    if found is None:
        raise HTTPException(404, "The pages have changed: load the page again.")
    return Response(found, media_type="text/javascript", headers={"Cache-Control": KEPT})
