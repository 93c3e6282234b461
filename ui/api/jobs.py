"""Routes for long work, which goes on while the server answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from indexer.errors import OutsideRootsError, UnreachableError
from indexer.sources.place import Place, absolute, is_below, to_place
from ui.api.models import JobList, JobModel, JobRequest
from ui.api.problems import responses
from ui.api.service import Service, service_of
from ui.duplicates_job import DuplicatesJob
from ui.indexing_job import IndexingJob
from ui.jobs import Job
from ui.reports import report_as_dict

router = APIRouter(prefix="/jobs", tags=["jobs"])

EVENTS_S = 0.5  # between two events
Number = Annotated[int, Path(ge=1, lt=2**31, description="the number of a job")]
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the job, each time it got further, as server-sent events",
        "content": {"text/event-stream": {}},
    }
}


@router.post("", status_code=202, responses=responses())
async def start_job(asked: JobRequest, request: Request) -> JobModel:
    """Bring the store up to date with its folders, or with places in them."""
    return await run_in_threadpool(_start, service_of(request), asked)


@router.get("", responses=responses())
async def list_jobs(request: Request) -> JobList:
    """List the last jobs since the server started, the last first."""
    service = service_of(request)
    jobs = reversed(service.jobs.items())
    return JobList(jobs=[model_of(number, job) for number, job in jobs])


@router.get("/{number}", responses=responses(404))
async def show_job(number: Number, request: Request) -> JobModel:
    """Say how far a job is, or how it ended."""
    return model_of(number, service_of(request).job(number))


@router.get("/{number}/events", response_class=StreamingResponse, responses=responses(404) | EVENTS)
async def watch_job(number: Number, request: Request) -> StreamingResponse:
    """Send events as a job gets further, the last when it has ended."""
    job = service_of(request).job(number)

    async def events() -> AsyncIterator[str]:
        said = ""
        while True:
            model = model_of(number, job)
            text = model.model_dump_json()
            if text != said:
                yield f"data: {text}\n\n"
                said = text
            if model.state != "running":
                return
            await asyncio.sleep(EVENTS_S)

    return StreamingResponse(
        events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


@router.delete("/{number}", responses=responses(404))
async def stop_job(number: Number, request: Request) -> JobModel:
    """Stop a job soon; what it has done stays, and the next one continues from there."""
    job = service_of(request).job(number)
    job.stop()
    return model_of(number, job)


def _start(service: Service, asked: JobRequest) -> JobModel:
    roots = service.opened.engine.store.roots().values()
    places = [_place(text) for text in asked.places]
    for place in places:
        if not any(is_below(place, root) for root in roots):
            raise OutsideRootsError(
                f"{place} lies outside the folders that the store knows; add it on the server "
                "with cbir index."
            )
    number = service.start_job(lambda: IndexingJob(service.opened.engine, *places))
    return model_of(number, service.job(number))


def _place(text: str) -> Place:
    try:
        return absolute(to_place(text))
    except UnreachableError as error:
        raise OutsideRootsError(str(error)) from error


def model_of(number: int, job: Job) -> JobModel:
    """Return a job as JSON has it."""
    step, running, report = job.step, job.running, _report_of(job)
    return JobModel(
        id=number,
        kind="duplicates" if isinstance(job, DuplicatesJob) else "index",
        state="running" if running else _end_of(job, report),
        step=step.name,
        done=step.done,
        total=step.total,
        failed=step.failed,
        left_s=None if step.left_s is None or not running else round(step.left_s, 1),
        report=report,
        error=job.error or None,
    )


def _report_of(job: Job) -> dict[str, Any] | None:
    """Return what a job has to say once it has ended."""
    if isinstance(job, IndexingJob) and job.report is not None:
        return report_as_dict(job.report)
    if isinstance(job, DuplicatesJob) and job.found is not None:
        return {
            "groups": len(job.found.groups),
            "decided": len(job.found.decided),
            "compared": job.found.compared,
            "unread": len(job.found.unread),
        }
    return None


def _end_of(job: Job, report: dict[str, Any] | None) -> Literal["done", "stopped", "failed"]:
    if job.stopped:
        return "stopped"
    return "failed" if job.error or report is None else "done"
