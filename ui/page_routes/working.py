"""The jobs of the pages over HTTP: how far they are, starting and stopping them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ui.api.service import Wanted
from ui.job_reports import describe_jobs, start_job, stop_job
from ui.page_routes.answering import work_for
from ui.running_jobs import JOBS
from ui.shown import Shown

FRESH = {"Cache-Control": "no-store"}


async def list_jobs(_request: Request) -> Response:
    """Answer with the jobs that run, or that ended last."""
    return JSONResponse(_told(), headers=FRESH)


async def start(request: Request) -> Response:
    """Start a job, indexing with the `folder` in the address; answer with all jobs."""
    folder = request.query_params.get("folder", "")

    def begin(shown: Shown, _wanted: Wanted) -> None:
        start_job(request.path_params["name"], shown.engine, folder)

    await work_for(request, begin)
    return JSONResponse(_told(), headers=FRESH)


async def stop(request: Request) -> Response:
    """Stop a job soon; answer with all jobs."""
    stop_job(request.path_params["name"])
    return JSONResponse(_told(), headers=FRESH)


def _told() -> dict[str, Any]:
    return {"ended": JOBS.ended, "jobs": describe_jobs()}
