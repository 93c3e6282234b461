"""`cbir query` and `cbir localize` with the URL of a query image."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import tests
from tests.ui.conftest import Album
from tests.ui.web import Web, sends, sends_raw, serving
from ui.cli import app

Run = Callable[..., Result]
TREE = Path(tests.__file__).parent.parent


@pytest.fixture
def web(album: Album) -> Iterator[Web]:
    with serving() as web:
        for photo in album.photos.iterdir():
            web.answers[f"/{photo.name.replace(' ', '%20')}"] = sends(photo.read_bytes())
        yield web


@pytest.fixture
def ask(album: Album, cbir: Run) -> Run:
    return lambda *options: cbir("query", "--store", album.store, "--allow-private", *options)


def test_a_url_finds_what_its_file_finds(ask: Run, album: Album, web: Web, here: Path) -> None:
    url = web.url("/chelsea.jpg")
    answer = json.loads(ask(url, "--json", "--box", "10,20,200,220").stdout)
    by_file = ask(album.photos / "chelsea.jpg", "--json", "--box", "10,20,200,220")
    assert answer["query"] == {"path": url, "box": [10, 20, 200, 220]}
    assert answer["hits"] == json.loads(by_file.stdout)["hits"]
    assert list(here.iterdir()) == []


def test_the_table_shows_the_url(ask: Run, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert ask(web.url("/chelsea.jpg")).stdout.startswith(f"{web.url('/chelsea.jpg')} · image")


def test_user_and_password_are_shown_nowhere(ask: Run, web: Web, tmp_path: Path) -> None:
    url, page = web.url("/coffee.jpg", host="me:secret@127.0.0.1"), tmp_path / "page.html"
    done = ask(url, "--json", "--html", page, "--montage", tmp_path / "sheet.png")
    assert json.loads(done.stdout)["query"]["path"] == web.url("/coffee.jpg")
    html = page.read_text("utf-8")
    assert web.url("/coffee.jpg") in html
    failed = ask(web.url("/missing.jpg", host="me:secret@127.0.0.1"))
    assert failed.stderr.startswith(f"Error: {web.url('/missing.jpg')}: the server answers 404")
    assert "secret" not in html + done.output + failed.output


def test_private_addresses_need_the_option(cbir: Run, album: Album, web: Web) -> None:
    url = web.url("/chelsea.jpg")
    for command in (["query", url], ["localize", url, album.photos / "chelsea.jpg"]):
        done = cbir(*command, "--store", album.store)
        assert (done.exit_code, done.stdout) == (1, "")
        said = "127.0.0.1 is a private address; --allow-private fetches it anyway"
        assert done.stderr == f"Error: {url}: {said}\n"
    assert web.asked == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("file:///etc/passwd", "only http and https are fetched"),
        ("ftp://host/cat.jpg", "only http and https are fetched"),
        ("https://", "is not a valid URL"),
        ("HTTP://[::1", "is not a valid URL"),
    ],
)
def test_what_is_not_fetched(ask: Run, url: str, said: str) -> None:
    done = ask(url)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {url}: {said}")
    assert done.stderr.count("\n") == 1


def test_an_answer_that_is_no_image(ask: Run, web: Web) -> None:
    url = web.url("/shopping%20list.jpg")
    assert ask(url).stderr.startswith(f"Error: {url}: is not a readable image")
    outside = ask(web.url("/coffee.jpg"), "--box", "0,0,999,10")
    assert "320 × 240" in outside.stderr


def test_urls_in_a_batch(ask: Run, album: Album, web: Web, tmp_path: Path) -> None:
    images = [web.url("/rocket.jpg"), web.url("/nowhere.jpg"), str(album.photos / "coffee.jpg")]
    batch = tmp_path / "queries.jsonl"
    batch.write_text(
        "\n".join(json.dumps({"id": image, "image": image}) for image in images), "utf-8"
    )
    done = ask("--batch", batch, "-k", 1)
    assert done.exit_code == 1
    first, missing, last = map(json.loads, done.stdout.splitlines())
    assert first["hits"][0]["path"] == str(album.photos / "rocket.jpg")
    assert (missing["hits"], missing["id"]) == ([], images[1])
    assert "the server answers 404" in missing["error"]
    assert last["hits"][0]["path"] == images[2]


def test_localize_a_url_or_standard_input(cbir: Run, album: Album, web: Web) -> None:
    photo = album.photos / "chelsea.jpg"
    url = web.url("/chelsea.jpg")
    options = [str(photo), "--store", str(album.store), "--json"]
    by_file = json.loads(cbir("localize", photo, *options).stdout)
    by_url = json.loads(cbir("localize", url, *options, "--allow-private").stdout)
    piped = CliRunner().invoke(app, ["localize", "-", *options], input=photo.read_bytes())
    for answer, name in ((by_url, url), (json.loads(piped.stdout), "-")):
        assert answer == by_file | {"query": {"path": name, "box": None}}


def test_a_file_is_found_without_the_network(album: Album) -> None:
    arguments = ["query", str(album.photos / "chelsea.jpg"), "--store", str(album.store), "--json"]
    code = (
        "import contextlib, sys\n"
        "from ui.cli import app\n"
        f"with contextlib.suppress(SystemExit): app({arguments!r})\n"
        "print('httpcore' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=TREE, capture_output=True, encoding="utf-8", timeout=120
    )
    answer, loaded = done.stdout.splitlines()
    assert json.loads(answer)["hits"]
    assert loaded == "False"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send there")
def heed_interrupts() -> None:
    """Undo that the tests run in the background of a shell, which ignores Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_stops_a_slow_server(album: Album, web: Web) -> None:
    asked, done = threading.Event(), threading.Event()

    def wait() -> None:
        asked.set()
        done.wait(60)

    web.answers["/slow.jpg"] = sends_raw(b"HTTP/1.0 200 OK\r\n\r\nx", pause=wait)
    command = [sys.executable, "-m", "ui.cli", "query", web.url("/slow.jpg"), "--allow-private"]
    process = subprocess.Popen(
        [*command, "--store", str(album.store)],
        cwd=TREE,
        stderr=subprocess.PIPE,
        preexec_fn=heed_interrupts,
    )
    try:
        assert asked.wait(60)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        done.set()
        process.kill()
    assert (process.returncode, b"Traceback" in told) == (130, False), told
