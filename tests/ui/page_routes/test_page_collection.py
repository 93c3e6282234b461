"""What the page of the collection fetches: months, problems, jobs, and the map."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from retrieval.collection_map import map_collection
from tests.desk import Desk
from tests.pictures import coloured, plain, shades
from tests.ui.page_routes.conftest import Fetched, asking
from ui.map_job import MapJob
from ui.running_jobs import JOBS

EXIF, DATE_TAKEN = 0x8769, 0x9003
ORIGIN = {"Origin": "http://127.0.0.1:8501"}


@pytest.fixture
def http(desk: Desk) -> Iterator[TestClient]:
    """A collection of 14 images in two folders, two of them dated, and a file that is no image."""
    for number, colour in enumerate(shades(12)):
        plain(desk.photos / ("a" if number < 5 else "b") / f"{number}.png", colour)
    for month in (5, 6):
        exif = Image.Exif()
        exif.get_ifd(EXIF)[DATE_TAKEN] = f"2019:{month:02}:01 12:00:00"
        coloured(shades(40)[month]).save(desk.photos / f"{month}.jpg", exif=exif)
    (desk.photos / "list <1>.jpg").write_text("milk", "utf-8")
    desk.index()
    with asking(desk.store.path) as found:
        yield found
    JOBS.close(60)


def test_months_in_which_photos_were_taken(http: TestClient) -> None:
    assert http.get("/page/months").json() == {
        "months": [
            {"year": 2019, "month": 5, "count": 1},
            {"year": 2019, "month": 6, "count": 1},
        ],
        "undated": 12,
    }


def test_files_with_problems_as_a_list_and_a_table(http: TestClient, desk: Desk) -> None:
    [told] = http.get("/page/files").json()["files"]
    assert (told["kind"], told["path"]) == ("failed", str(desk.photos / "list <1>.jpg"))
    answer = http.get("/page/files.csv")
    assert 'filename="files.csv"' in answer.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(answer.text)))
    assert rows[1] == ["failed", told["path"], told["reason"]]


def test_shapes_are_in_the_order_of_the_images(http: TestClient, desk: Desk) -> None:
    for asked in ("", "?since=2019-06-01", f"?folder={desk.photos / 'a'}"):
        rows = http.get(f"/page/images{asked}").json()["hits"]
        shapes = np.frombuffer(http.get(f"/page/shapes{asked}").content, "<u2")
        assert shapes.tolist() == [round(1000 * row["w"] / row["h"]) for row in rows]
        assert rows
        assert all("s" not in row for row in rows)  # nothing was searched for


def test_images_by_their_numbers(fetched: Fetched) -> None:
    ids = [fetched.id_of("coffee.png"), fetched.id_of("trips/coffee again.png")]
    told = fetched.http.get("/page/images", params={"ids": f"{ids[1]},{ids[0]},99999"}).json()
    assert [row["id"] for row in told["hits"]] == ids[::-1]
    assert (told["total"], told["more"]) == (2, False)


# --- jobs -----------------------------------------------------------------------------------------


def test_a_job_is_started_watched_and_stopped(http: TestClient) -> None:
    told = http.post("/page/jobs/map", headers=ORIGIN).json()["jobs"]
    assert [job["name"] for job in told] == ["indexing", "duplicates", "map", "keypoints"]
    job = JOBS.last("map", MapJob)
    assert job is not None
    job.wait(60)
    [after] = [job for job in http.get("/page/jobs").json()["jobs"] if job["name"] == "map"]
    assert (after["state"], after["said"]) == ("ended", "14 images laid out.")
    stopped = http.post("/page/jobs/map/stop", headers=ORIGIN)
    assert stopped.status_code == 200


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("indexing?folder=photos", "full path"),
        ("indexing?folder=/nowhere", "There is no folder /nowhere"),
        ("tea", "There is no job 'tea'"),
        ("tea/stop", "There is no job 'tea'"),
    ],
)
def test_a_job_that_cannot_be_started(http: TestClient, place: str, says: str) -> None:
    answer = http.post(f"/page/jobs/{place}", headers=ORIGIN)
    assert 400 <= answer.status_code < 500
    assert says in answer.json()["error"]


def test_other_sites_start_nothing(http: TestClient) -> None:
    answer = http.post("/page/jobs/map", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 403
    assert JOBS.last("map", MapJob) is None


# --- the map --------------------------------------------------------------------------------------


def laid_out(desk: Desk) -> None:
    map_collection(desk.search().collection)


def test_points_are_sent_as_numbers(http: TestClient, desk: Desk) -> None:
    laid_out(desk)
    folder = str(desk.photos / "a")
    data = http.get("/page/map", params={"folder": folder}).content
    count = len(data) // 24
    assert count == 14
    ids = np.frombuffer(data, "<f8", count)
    passes = np.frombuffer(data, "<i4", count, 8 * count)
    points = np.frombuffer(data, "<f4", 2 * count, 12 * count)
    shapes = np.frombuffer(data, "<f4", count, 20 * count)
    assert passes.sum() == 5
    inside = [desk.store.image_infos([int(i)])[int(i)].path.parent.name for i in ids[passes == 1]]
    assert inside == ["a"] * 5
    assert (points.min(), points.max()) == (0, 1)
    np.testing.assert_allclose(shapes, 48 / 32)


def test_groups_and_sheets_of_a_map(http: TestClient, desk: Desk) -> None:
    laid_out(desk)
    told = http.get("/page/map/groups?by=folder").json()
    named = {one["name"]: one["count"] for one in told["groups"]}
    assert named == {"photos/b": 7, "photos/a": 5, "photos": 2}
    assert len(told["numbers"]) == 14
    sheet = http.get("/page/map/sheet?n=0&v=1")
    assert (sheet.headers["content-type"], sheet.status_code) == ("image/jpeg", 200)
    assert "immutable" in sheet.headers["cache-control"]
    assert Image.open(io.BytesIO(sheet.content)).size == (1024, 1024)


def test_what_a_map_cannot_be_asked(http: TestClient, desk: Desk) -> None:
    for place in ("map", "map/groups?by=folder", "map/sheet?n=0"):
        answer = http.get(f"/page/{place}")
        assert answer.status_code == 404
        assert "not laid out" in answer.json()["error"]
    laid_out(desk)
    assert (
        "must be one of folder, date, tag" in http.get("/page/map/groups?by=size").json()["error"]
    )
    assert "counted from 0; not 7" in http.get("/page/map/sheet?n=7").json()["error"]
