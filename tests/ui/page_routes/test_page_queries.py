"""Query pictures that are dropped on a page."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from tests.pictures import RED, coloured, photo
from tests.ui.page_routes.conftest import Fetched, asking
from ui.api.limits import Limits


def picture() -> bytes:
    out = io.BytesIO()
    photo("coffee").resize((600, 400)).save(out, "JPEG")
    return out.getvalue()


def test_a_dropped_picture_is_kept_and_shown(fetched: Fetched) -> None:
    name = "Kaffee im Café.jpg"
    put = fetched.http.post("/page/queries", content=picture(), headers={"X-Name": quote(name)})
    assert put.status_code == 200
    found = put.json()
    assert (found["name"], found["width"], found["height"]) == (name, 600, 400)
    shown = fetched.http.get(f"/page/queries/{found['key']}")
    assert shown.headers["content-type"] == "image/jpeg"
    assert shown.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert Image.open(io.BytesIO(shown.content)).size == (600, 400)
    again = fetched.http.post("/page/queries", content=picture(), headers={"X-Name": "other.jpg"})
    assert again.json()["key"] == found["key"]


def test_a_dropped_picture_finds_hits(fetched: Fetched) -> None:
    key = fetched.http.post("/page/queries", content=picture()).json()["key"]
    hits = fetched.http.get("/page/hits", params={"picture": key}).json()["hits"]
    assert {hit["n"] for hit in hits[:3]} == {"coffee.png", "coffee again.png", "coffee small.jpg"}


def test_a_file_that_is_too_large_says_its_size_and_the_limit(tmp_path: Path) -> None:
    limits = Limits(body_bytes=1_000_000)
    with asking(tmp_path / ".cbir", limits=limits) as http:
        for size in (3_000_000, 30_000_000):
            answer = http.post("/page/queries", content=bytes(size), headers={"X-Name": "scan.tif"})
            assert answer.status_code == 413
            assert answer.json()["error"].startswith(
                f"scan.tif has {size / 1e6:.0f} MB; a query picture may have 1 MB."
            )


def test_what_is_no_picture_is_named(fetched: Fetched) -> None:
    for name, sent in (("list.txt", b"milk, bread"), ("empty.jpg", b"")):
        answer = fetched.http.post("/page/queries", content=sent, headers={"X-Name": name})
        assert answer.status_code == 422
        assert answer.json()["error"].startswith(f"{name}: ")


def test_names_that_are_no_text_are_made_legible(fetched: Fetched) -> None:
    out = io.BytesIO()
    coloured(RED).save(out, "PNG")
    for sent, name in (("caf%E9.png", "caf\ufffd.png"), ("", "picture")):
        answer = fetched.http.post(
            "/page/queries", content=out.getvalue(), headers={"X-Name": sent}
        )
        assert answer.json()["name"] == name


def test_a_forgotten_picture_says_what_to_do(fetched: Fetched) -> None:
    for path, status in (("queries/0123456789abcdef", 404), ("hits?picture=0123456789abcdef", 422)):
        answer = fetched.http.get(f"/page/{path}")
        assert answer.status_code == status
        assert "no longer in memory: drop it on the page again" in answer.json()["error"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/page/queries"),
        ("POST", "/page/open?hit=1"),
        ("GET", "/page/hits?image=1"),
        ("GET", "/page/zip?ids=1"),
    ],
)
def test_pages_of_others_are_refused(fetched: Fetched, method: str, path: str) -> None:
    for headers in ({"Origin": "https://photos.example.com"}, {"Origin": "null"}):
        answer = fetched.http.request(method, path, headers=headers)
        assert answer.status_code == 403
        assert answer.json() == {"error": "Requests from other sites are refused."}


@pytest.mark.parametrize(
    "path", ["images", "hits?image=1", "filters", "facts?hit=1", "zip?ids=1", "hits.csv?ids=1"]
)
def test_without_a_store_everything_says_so(tmp_path: Path, path: str) -> None:
    with asking(tmp_path / ".cbir") as http:
        answer = http.get(f"/page/{path}")
    assert answer.status_code == 503
    assert str(tmp_path / ".cbir") in answer.json()["error"]


def test_what_is_not_there_is_an_error_in_a_sentence(fetched: Fetched) -> None:
    assert fetched.http.get("/page/nothing").json() == {"error": "Not Found"}
    assert fetched.http.get("/page/open?hit=1").status_code == 405
