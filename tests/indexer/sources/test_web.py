"""Web servers that list their files, or do not, or fail."""

from __future__ import annotations

import io
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from indexer.errors import NoImagesError, UnreachableError
from indexer.sources import faults
from indexer.sources.access import read_file, source_of
from indexer.sources.place import Place, to_place
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, RED, Colour, coloured
from tests.ui.web import Answer, Web, sends, serving


def png(colour: Colour) -> bytes:
    out = io.BytesIO()
    coloured(colour).save(out, "PNG")
    return out.getvalue()


def page(*links: str) -> Answer:
    body = "".join(f'<a href="{link}">{link}</a>' for link in links).encode()
    return sends(body, kind="text/html")


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(faults, "FIRST_WAIT_S", 0.01)
    with serving() as made:
        yield made


@pytest.fixture
def photos(web: Web) -> Place:
    web.answers["/photos/"] = web.answers["/photos"] = page(
        "a.png", "sub/", "?C=M;O=D", "../", "/photos/b.png#top", "/other/x.png",
        "https://example.org/y.png", "%2e%2e/z.png", "notes.txt",
    )  # fmt: skip
    web.answers["/photos/sub/"] = web.answers["/photos/sub"] = page("c%20d.png")
    for path, colour in {"a": RED, "b": GREEN, "sub/c%20d": BLUE}.items():
        web.answers[f"/photos/{path}.png"] = sends(png(colour))
    return to_place(web.url("/photos/"))


def test_only_links_below_the_page_are_followed(web: Web, photos: Place, desk: Desk) -> None:
    report = desk.index(photos)
    assert (report.added, report.skipped, report.warnings) == (3, {".txt": 1}, [])
    assert not [path for path in web.paths if "other" in path or "z.png" in path]
    web.asked.clear()
    assert desk.index(photos).unchanged == 3
    assert not [path for path in web.paths if path.endswith(".png")]


def test_a_folder_that_cannot_be_listed_is_not_taken_to_be_empty(
    web: Web, photos: Place, desk: Desk
) -> None:
    desk.index(photos)
    web.answers["/photos/sub/"] = sends(b"", status=500)
    report = desk.index(photos)
    assert (report.unchanged, report.removed) == (2, 0)
    assert report.warnings[0][0] == f"{photos}/sub"
    web.answers["/photos/"] = web.answers["/photos"] = sends(b"", status=403)
    with pytest.raises(NoImagesError, match="403"):
        desk.index(photos)
    assert len(desk.store.known_files()) == 3


def test_faults_that_pass_are_not_noticed(web: Web, photos: Place, desk: Desk) -> None:
    for path in [path for path in web.answers if path.endswith(".png")]:
        web.answers[path] = failing_first(web.answers[path])
    assert desk.index(photos).added == 3


def failing_first(answer: Answer) -> Answer:
    asked: list[int] = []

    def send(handler: BaseHTTPRequestHandler) -> None:
        asked.append(1)
        (sends(b"", status=503) if len(asked) % 2 else answer)(handler)

    return send


def test_a_server_that_is_away_is_named(desk: Desk, web: Web) -> None:
    web.answers["/photos"] = sends(b"", status=503)
    with pytest.raises(UnreachableError, match="the server answers 503"):
        desk.index(to_place(web.url("/photos")))
    with pytest.raises(UnreachableError, match="Check the URL and the connection"):
        desk.index(to_place("http://127.0.0.1:9/photos/"))


def test_a_file_of_a_server_without_parts_is_copied(web: Web) -> None:
    data = bytes(range(256)) * 40
    web.answers["/large.bin"] = sends(data)
    place = to_place(web.url("/large.bin"))
    with source_of(place).open(place) as file:
        file.seek(1000)
        assert file.read(50) == data[1000:1050]
    assert read_file(place, 7) == data[:7]
