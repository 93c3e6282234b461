"""Files that failed, that show nothing, or that are warned of."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from PIL import Image

from tests.desk import Desk
from tests.pictures import plain
from ui.file_problems import FileProblem, as_table, problems_of
from ui.indexing_job import IndexingJob
from ui.running_jobs import JOBS
from ui.shown import shown


@pytest.fixture(autouse=True)
def _no_jobs() -> Iterator[None]:
    JOBS.close(60)
    yield
    JOBS.close(60)


def test_each_file_has_a_reason(desk: Desk) -> None:
    plain(desk.photos / "red.png", (200, 0, 0))
    (desk.photos / "list.jpg").write_text("milk", "utf-8")
    Image.new("RGB", (48, 32), "white").save(desk.photos / "white.png")
    Image.open(plain(desk.photos / "odd.png", (0, 0, 200))).save(
        desk.photos / "odd.png", icc_profile=b"no profile"
    )
    job = JOBS.start("indexing", lambda: IndexingJob(desk.search(), desk.photos))
    job.wait(60)
    found = {(one.kind, one.path): one.reason for one in problems_of(shown(desk.store.path))}
    assert found.keys() == {
        ("failed", str(desk.photos / "list.jpg")),
        ("blank", str(desk.photos / "white.png")),
        ("warning", str(desk.photos / "odd.png")),
    }
    assert all(found.values())
    JOBS.close(60)  # as by a restart
    again = {(one.kind, one.path): one.reason for one in problems_of(shown(desk.store.path))}
    assert again == found


def test_a_table_runs_nothing_in_a_spreadsheet() -> None:
    table = as_table([FileProblem("failed", "=HYPERLINK(1).jpg", '-bad, "worse"\n')])
    [head, row] = csv.reader(io.StringIO(table.decode()))
    assert head == ["kind", "path", "reason"]
    assert row == ["failed", "'=HYPERLINK(1).jpg", '\'-bad, "worse"\n']
