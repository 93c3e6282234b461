"""Opening the folder of a photo from a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.page_routes.conftest import Fetched, asking

LINUX = pytest.mark.skipif("sys.platform != 'linux'", reason="the program is a script of ours")


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that a file manager of our own writes the folder to."""
    programs, told = tmp_path / "programs", tmp_path / "opened"
    programs.mkdir()
    program = programs / "xdg-open"
    program.write_text(f'#!/bin/sh\nprintf "%s" "$1" > "{told}"\n', "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    return told


@LINUX
def test_the_folder_of_a_photo_is_opened(fetched: Fetched, opened: Path) -> None:
    image = fetched.id_of("trips/coffee small.jpg")
    assert fetched.http.get("/page/facts", params={"hit": image}).json()["opens"] is True
    answer = fetched.http.post("/page/open", params={"hit": image})
    assert answer.json() == {"opened": str(fetched.photos / "trips")}
    assert opened.read_text("utf-8") == str(fetched.photos / "trips")


@pytest.mark.parametrize(
    ("is_local", "client", "headers"),
    [
        (False, "127.0.0.1", {}),
        (True, "192.168.1.7", {}),
        (True, "127.0.0.1", {"X-Forwarded-For": "192.168.1.7"}),
        (True, "127.0.0.1", {"Forwarded": "for=192.168.1.7"}),
    ],
)
def test_only_for_the_own_user_of_the_machine(
    fetched: Fetched, opened: Path, is_local: bool, client: str, headers: dict[str, str]
) -> None:
    with asking(fetched.store, is_local=is_local, client=client) as http:
        answer = http.post("/page/open?hit=1", headers=headers)
        known = http.get("/page/facts?hit=1", headers=headers).json()
    assert answer.status_code == 403
    assert "only for its own user" in answer.json()["error"]
    assert known["opens"] is False
    assert not opened.exists()


def test_an_unknown_image_opens_nothing(fetched: Fetched, opened: Path) -> None:
    answer = fetched.http.post("/page/open?hit=999999")
    assert answer.status_code == 404
    assert not opened.exists()
