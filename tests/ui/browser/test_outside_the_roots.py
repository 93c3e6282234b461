"""Files outside the folders of photos are asked for in every way that might work."""

from __future__ import annotations

import http.client
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from tests.ui.browser.conftest import Served

SECRET = "#12ab9c"


def ask_raw(served: Served, path: str) -> bytes:
    """Ask the server for a path as it stands, without the tidying that clients do."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    connection.putrequest("GET", path, skip_accept_encoding=True)
    connection.putheader("Cookie", served.cookie)
    connection.endheaders()
    body = connection.getresponse().read()
    connection.close()
    return body


def test_nothing_outside_the_roots_is_served(page: Page, served: Served, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (64, 48), SECRET).save(secret)
    contents = secret.read_bytes()
    for prefix in ("", "/media", "/static", "/app/static", "/component/x", "/_stcore", "/image"):
        encoded = str(secret).replace("/", "%2f")
        doubly = encoded.replace("%", "%25")
        for path in (f"{secret}", f"/..{secret}", f"/{'../' * 12}{secret}", f"/{encoded}"):
            assert contents not in ask_raw(served, prefix + path)
        for path in (f"/{'..%2f' * 12}{encoded}", f"/{doubly}", f"/?path={secret}"):
            assert contents not in ask_raw(served, prefix + path)
    for asked in (str(secret), "../../secret.png", "%2e%2e%2fsecret.png", "-1", "999999", "1e3"):
        page.goto(f"{served.url}/?image={asked}")
        expect(page.get_by_role("alert")).to_be_visible()
        assert "Traceback" not in page.content()


def test_a_link_that_leads_outside_is_not_followed(
    page: Page, served: Served, tmp_path: Path
) -> None:
    image_id = served.id_of("sample/tissue-5.jpg")
    photo = served.photos / "sample" / "tissue-5.jpg"
    aside = photo.rename(tmp_path / "tissue-5.jpg")
    Image.new("RGB", (640, 480), SECRET).save(tmp_path / "secret.jpg")
    photo.symlink_to(tmp_path / "secret.jpg")
    try:
        page.goto(f"{served.url}/?image={image_id}")
        expect(page.get_by_text("lies outside the indexed folders").first).to_be_visible()
        for name in ("thumbnail", "thumbnail?side=640", "picture"):
            assert b"outside the indexed" in ask_raw(served, f"/v1/images/{image_id}/{name}")
    finally:
        photo.unlink()
        aside.rename(photo)
