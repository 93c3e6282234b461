"""What is wrong with files of the collection: failed, without content, or warned of."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from indexer.store.statistics import blank_images, warned_images
from ui.indexing_job import IndexingJob
from ui.running_jobs import JOBS
from ui.saved_hits import as_cell
from ui.shown import NAME_BYTES, Shown

Gravity = Literal["failed", "blank", "warning"]
BLANK = "It shows nothing: all of it has one colour, so nothing could be found by it."


@dataclass(frozen=True)
class FileProblem:
    """A file and what is wrong with it."""

    kind: Gravity
    path: str
    reason: str


def problems_of(shown: Shown) -> list[FileProblem]:
    """Return the files that failed, those without content, and those that are warned of.

    What the last run said of other files and of folders lasts as long as the server.
    """
    kept = shown.kept.get(
        shown.as_of_now("problems"),
        lambda: _kept_in(shown),
        lambda found: 2 * NAME_BYTES * len(found),
    )
    job = JOBS.last("indexing", IndexingJob)
    last = job.report.warnings if job is not None and job.report is not None else []
    known = {problem.path for problem in kept}
    return [
        *kept,
        *(FileProblem("warning", str(path), said) for path, said in last if str(path) not in known),
    ]


def _kept_in(shown: Shown) -> list[FileProblem]:
    store = shown.store
    return [
        *(FileProblem("failed", path, reason) for path, reason in shown.census().failed),
        *(FileProblem("blank", path, BLANK) for path in blank_images(store)),
        *(FileProblem("warning", path, said) for path, said in warned_images(store)),
    ]


def as_table(problems: Sequence[FileProblem]) -> bytes:
    """Return them as a CSV file."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(("kind", "path", "reason"))
    writer.writerows((one.kind, as_cell(one.path), as_cell(one.reason)) for one in problems)
    return stream.getvalue().encode("utf-8", "backslashreplace")
