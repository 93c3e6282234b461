"""Photos picked in Chromium come as a ZIP file; a filter in words is in the address."""

from __future__ import annotations

from zipfile import ZipFile

from playwright.sync_api import Page, expect

from tests.ui.browser.conftest import Served
from tests.ui.browser.test_real_browser import begin, hits, settle


def test_picked_photos_are_downloaded_as_they_are(page: Page, served: Served) -> None:
    where = "name:c* and not name:coins*"
    begin(page, served, f"?image={served.id_of('sample/cat-1.jpg')}&where={where}")
    expect(page.get_by_role("button", name=f"{where} ✕")).to_be_visible()
    page.get_by_text("Pick all shown").click()
    save = page.get_by_role("button", name="as ZIP")
    expect(save).to_be_visible()
    settle(page)
    with page.expect_download() as download:
        save.click()
    with ZipFile(download.value.path()) as archive:
        zipped = {name[4:]: archive.read(name) for name in archive.namelist() if name[0].isdigit()}
        assert "hits.csv" in archive.namelist()
    assert zipped == {
        name: (served.photos / "sample" / name).read_bytes() for name, _ in hits(page)
    }
    assert len(zipped) > 5
    page.get_by_role("button", name=f"{where} ✕").click()
    expect(page.get_by_role("button", name=f"{where} ✕")).to_have_count(0)
    settle(page)
    assert "where=" not in page.url
