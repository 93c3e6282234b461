"""`cbir ui` where there is no store yet, and pages whose server has ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
from playwright.sync_api import Browser, expect
from typer.testing import Result

from tests.pictures import plain
from tests.ui.browser.conftest import serving


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
    (tmp_path / "list").write_text("milk, bread")
    for place in (tmp_path / "list", tmp_path / "list" / ".cbir"):
        done = cbir("ui", "--store", place)
        assert done.exit_code == 1
        assert f"{tmp_path / 'list'} is a file. Name a folder with --store." in done.stderr


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
