"""Picked images, saved from a page."""

from __future__ import annotations

import csv
import io
from zipfile import ZipFile

import pytest

from tests.ui.page_routes.conftest import Fetched
from ui import zipped_hits


def table(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_picked_photos_come_as_one_file(fetched: Fetched) -> None:
    ids = [fetched.id_of(name) for name in ("rocket.png", "trips/coffee small.jpg")]
    answer = fetched.http.get("/page/zip", params={"ids": f"{ids[0]},{ids[1]},{ids[0]}"})
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="hits.zip"'
    assert int(answer.headers["content-length"]) == len(answer.content)
    with ZipFile(io.BytesIO(answer.content)) as archive:
        names = ["001-rocket.png", "002-coffee small.jpg"]
        assert sorted(archive.namelist()) == [*names, "hits.csv"]
        for name, path in zip(names, ("rocket.png", "trips/coffee small.jpg"), strict=True):
            assert archive.read(name) == (fetched.photos / path).read_bytes()
        assert [row["file"] for row in table(archive.read("hits.csv"))] == names


def test_hits_keep_their_ranks_and_scores(fetched: Fetched) -> None:
    asked = {"image": fetched.id_of("coffee.png")}
    hits = fetched.http.get("/page/hits", params=asked).json()["hits"]
    picked = [hits[4]["id"], hits[2]["id"]]
    answer = fetched.http.get("/page/hits.csv", params=asked | {"ids": f"{picked[0]},{picked[1]}"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = table(answer.content)
    assert [row["rank"] for row in rows] == ["5", "3"]
    assert [round(float(row["score"]), 3) for row in rows] == [hits[4]["s"], hits[2]["s"]]
    assert [row["file"] for row in rows] == ["", ""]
    assert rows[1]["path"].endswith("coffee small.jpg")


@pytest.mark.parametrize("path", ["zip", "hits.csv"])
@pytest.mark.parametrize(
    ("ids", "status", "says"),
    [
        ("", 422, "must be numbers of images, such as 7,12"),
        ("1,cat", 422, "must be numbers of images"),
        ("1,999999,888888", 404, "no image 999999, 888888 any more"),
        (",".join(map(str, range(1, 2002))), 422, "names 2,001 images; it takes 2,000"),
    ],
)
def test_what_cannot_be_saved_is_told(
    fetched: Fetched, path: str, ids: str, status: int, says: str
) -> None:
    answer = fetched.http.get(f"/page/{path}", params={"ids": ids})
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), answer.text


def test_more_than_a_zip_file_takes_is_refused(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipped_hits, "MAX_PHOTOS", 1)
    answer = fetched.http.get("/page/zip", params={"ids": "1,2"})
    assert answer.status_code == 413
    assert answer.json()["error"].startswith("2 photos are picked; a ZIP file takes 1.")


def test_whether_a_zip_file_can_be_had_is_told_beforehand(
    fetched: Fetched, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = fetched.http.get("/page/zip", params={"ids": "1,2", "check": "1"})
    assert (answer.status_code, answer.content) == (204, b"")
    monkeypatch.setattr(zipped_hits, "MAX_BYTES", 10)
    answer = fetched.http.get("/page/zip", params={"ids": "1,2", "check": "1"})
    assert answer.status_code == 413
    assert "a ZIP file takes 0 MB" in answer.json()["error"]
