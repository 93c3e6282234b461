"""The jobs of the pages in words: how far they are, how they ended, and what starts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from indexer.errors import InvalidQueryError
from indexer.sources.place import Place
from retrieval.engine import SearchEngine
from ui.duplicates_job import DuplicatesJob
from ui.indexing_job import IndexingJob
from ui.jobs import Job
from ui.keypoints_job import KeypointsJob
from ui.map_job import MapJob
from ui.printable import printable
from ui.running_jobs import JOBS, JobName

UNEXPECTED = "It ended unexpectedly; the terminal of cbir ui says why."


@dataclass(frozen=True)
class Kind:
    """What a job of a kind is called, what stays if it is stopped, and how one ended well."""

    title: str
    on_stop: str
    ended: Callable[[Any], str]
    type: type[Job]


def describe_jobs() -> list[dict[str, Any]]:
    """Return the jobs that run, or that ended last, as JSON objects, with those to be started."""
    return [_describe(name) for name in get_args(JobName)]


def stop_job(name: str) -> None:
    """Stop a job soon; raises `InvalidQueryError` for a name that no job has."""
    job = _last(_named(name))
    if job is not None:
        job.stop()


def start_job(name: str, engine: SearchEngine, folder: str = "") -> None:
    """Start a job; indexing needs a folder, an empty one stands for all that the store knows.

    Raises `JobRunningError` while one of its kind runs, and `InvalidQueryError`.
    """
    makers: Mapping[JobName, Callable[[], Job]] = {
        "indexing": lambda: IndexingJob(engine, *places_of(folder)),
        "keypoints": lambda: KeypointsJob(engine),
        "duplicates": lambda: DuplicatesJob(engine),
        "map": lambda: MapJob(engine),
    }
    JOBS.start(_named(name), makers[_named(name)])


def places_of(folder: str) -> list[Place]:
    """Return the folder to index; raises `InvalidQueryError` where there is none."""
    if not folder.strip():
        return []
    place = Path(folder.strip()).expanduser()
    if not place.is_absolute():
        raise InvalidQueryError("Give the full path of a folder, such as /home/me/photos.")
    if not place.is_dir():
        raise InvalidQueryError(f"There is no folder {place} on the machine of cbir ui.")
    return [place]


def _named(name: str) -> JobName:
    known: tuple[JobName, ...] = get_args(JobName)
    for one in known:
        if one == name:
            return one
    raise InvalidQueryError(f"There is no job {name!r}; there are {', '.join(known)}.")


def _last(name: JobName) -> Job | None:
    return JOBS.last(name, KINDS[name].type)


def _describe(name: JobName) -> dict[str, Any]:
    kind, job = KINDS[name], _last(name)
    found: dict[str, Any] = {"name": name, "title": kind.title, "on_stop": kind.on_stop}
    if job is None:
        return found | {"state": "none"}
    if job.running:
        return found | _progress_of(job)
    if job.error:
        return found | {"state": "failed", "said": printable(job.error)}
    if job.stopped:
        return found | {"state": "stopped", "said": f"Stopped. {kind.on_stop}"}
    said = kind.ended(job)
    return found | {"state": "ended" if said else "failed", "said": said or UNEXPECTED}


def _progress_of(job: Job) -> dict[str, Any]:
    step = job.step
    return {
        "state": "running",
        "of": [printable(place) for place in getattr(job, "places", ())],
        "step": printable(step.name),
        "done": step.done,
        "total": step.total,
        "failed": step.failed,
        "left_s": step.left_s,
    }


def _indexed(job: IndexingJob) -> str:
    if job.report is None:
        return ""
    names = ("added", "updated", "unchanged", "moved", "removed")
    counts = {name: getattr(job.report, name) for name in names}
    said = [f"{count:,} {name}" for name, count in counts.items() if count]
    said += [f"{len(job.report.failed):,} failed"] if job.report.failed else []
    said += [f"{len(job.report.warnings):,} warnings"] if job.report.warnings else []
    of = ", ".join(printable(place) for place in job.places) or "all folders"
    return f"{of}: {', '.join(said) or 'nothing found'}, in {job.report.elapsed_s:.1f} s."


def _found_duplicates(job: DuplicatesJob) -> str:
    return f"{job.found.compared:,} images compared." if job.found else ""


def _mapped(job: MapJob) -> str:
    return f"{len(job.found.image_ids):,} images laid out." if job.found else ""


def _found_keypoints(job: KeypointsJob) -> str:
    return "Every readable image has its keypoints." if job.step.done == job.step.total else ""


KINDS: Mapping[JobName, Kind] = {
    "indexing": Kind(
        "Indexing",
        "What is indexed stays; index the folder again to continue.",
        _indexed,
        IndexingJob,
    ),
    "keypoints": Kind(
        "Keypoints", "What is found stays; start again to continue.", _found_keypoints, KeypointsJob
    ),
    "duplicates": Kind(
        "Duplicates",
        "What is compared stays; search again to continue.",
        _found_duplicates,
        DuplicatesJob,
    ),
    "map": Kind("Map", "Nothing of the map is kept.", _mapped, MapJob),
}
