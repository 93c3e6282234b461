"""The script of the pages' components, which TypeScript in ui/frontend is bundled into."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FILE = Path(__file__).with_name("bundle") / "cbir.js"
FOLDER = "/page/bundle"
KEPT = "private, max-age=31536000, immutable"  # another script has another name


@cache
def script() -> bytes:
    """Return the script."""
    return FILE.read_bytes()


@cache
def script_path() -> str:
    """Return where a server has the script: under a name made of its content."""
    return f"{FOLDER}/cbir-{hashlib.sha256(script()).hexdigest()[:12]}.js"


def _answer(_request: Request) -> Response:
    return Response(script(), media_type="text/javascript", headers={"Cache-Control": KEPT})


def script_route() -> Route:
    """Return the route of the script."""
    return Route(script_path(), _answer)
