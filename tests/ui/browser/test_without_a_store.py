"""`cbir ui` where there is no store yet, and pages whose server has ended."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest
from typer.testing import Result

from indexer.features.spec import FeatureSpec
from indexer.store.store import Store
from tests.pictures import plain
from tests.ui.browser.conftest import CBIR, serving, wait_for
from tests.ui.browser.shown_pages import new_app
from ui.cli.browser import PAGES
from ui.shown import shown


def test_the_server_starts_without_a_store_and_finds_it_later(
    tmp_path: Path, cbir: Callable[..., Result]
) -> None:
    store, photos = tmp_path / ".cbir", tmp_path / "photos"
    photos.mkdir()
    plain(photos / "red.png", (200, 0, 0))
    with serving(store) as entry:
        address = urlsplit(entry)
        token = dict(parse_qsl(address.query))["token"]
        with httpx.Client(
            base_url=f"http://{address.netloc}", headers={"Authorization": f"Bearer {token}"}
        ) as http:
            assert http.get("/").status_code == 200
            for answer in (http.get("/v1/store"), http.post("/v1/jobs", json={})):
                assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
                assert f"cbir index PHOTOS --store {store}" in answer.json()["detail"]
            assert not store.exists()
            assert cbir("index", photos, "--store", store).exit_code == 0
            assert http.get("/v1/store").json()["images"] == 1


@pytest.mark.parametrize("page", PAGES)
def test_pages_of_a_store_without_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    Store.create(tmp_path / ".cbir", FeatureSpec.create()).close()
    monkeypatch.setenv("CBIR_STORE", str(tmp_path / ".cbir"))
    assert shown(tmp_path / ".cbir").all_ids().tolist() == []

    def page_alone(page: str) -> None:
        import importlib

        import streamlit as st

        from ui import browser

        module = importlib.import_module(f"{browser.__name__}.{page}_page")
        if page == "first":  # it leads on to another page
            module.show(st.Page(lambda: None, title="Collection", url_path="collection"))
        else:
            module.show()

    for app in (AppTest.from_function(page_alone, default_timeout=60, args=(page,)), new_app()):
        app.run()
        assert not app.exception


def test_a_first_folder_is_indexed_in_the_page(tmp_path: Path, chromium: Browser) -> None:
    for name in ("empty", "photos"):
        (tmp_path / name).mkdir()
    plain(tmp_path / "photos" / "red.png", (200, 0, 0))
    page = chromium.new_page()
    page.set_default_timeout(60_000)
    with serving(tmp_path / ".cbir", "--no-token") as entry:
        page.goto(entry.replace("127.0.0.1", "localhost"))
        for name in ("empty", "photos"):
            page.get_by_role("textbox", name="Folder with photos").fill(str(tmp_path / name))
            page.get_by_role("button", name="Index it").click()
            if name == "empty":
                alert = page.get_by_test_id("stAlert")
                expect(alert).to_contain_text("no images", timeout=60_000)
                page.goto(entry.replace("127.0.0.1", "localhost"))
        page.wait_for_url("**/collection?show=jobs")
        expect(page.get_by_text("1 added")).to_be_visible(timeout=60_000)
        page.get_by_role("link", name="Photos").click()
        expect(page.get_by_role("heading", name="1 photo")).to_be_visible(timeout=60_000)
    page.close()


def test_a_file_is_no_place_for_a_store(tmp_path: Path, cbir: Callable[..., Result]) -> None:
    (tmp_path / "list").write_text("milk, bread", "utf-8")
    for place in (tmp_path / "list", tmp_path / "list" / ".cbir"):
        done = cbir("ui", "--store", place)
        assert done.exit_code == 1
        assert f"{tmp_path / 'list'} is a file. Name a folder with --store." in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send there")
def test_ctrl_c_ends_the_server_without_further_words(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    options = ["--store", str(tmp_path / ".cbir"), "--port", str(port), "--no-browser"]
    process = subprocess.Popen(
        [*CBIR, "ui", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    )
    try:
        wait_for(process, port)
        process.send_signal(signal.SIGINT)
        said, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, said) == (0, "")
    [line] = told.splitlines()
    assert line.startswith(f"There is no store at {tmp_path / '.cbir'} yet: make one at http://")
    assert line.endswith("(stop with Ctrl-C).")


def test_a_page_whose_server_has_ended_names_our_command(tmp_path: Path, chromium: Browser) -> None:
    page = chromium.new_page()
    with serving(tmp_path / ".cbir", "--no-token") as entry:
        page.goto(entry.replace("127.0.0.1", "localhost"))
        expect(page.get_by_test_id("stApp")).to_have_attribute(
            "data-test-connection-state", "CONNECTED", timeout=60_000
        )
        expect(page.get_by_test_id("stAlert").or_(page.get_by_role("textbox")).first).to_be_visible(
            timeout=60_000
        )
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible(timeout=60_000)
    expect(dialog.get_by_text("Streamlit still running")).to_be_hidden()
    expect(dialog.get_by_text("streamlit run")).to_be_hidden()
    said = dialog.locator("> div").evaluate("body => getComputedStyle(body, '::after').content")
    assert said.endswith('terminal with: cbir ui"')
    page.close()
