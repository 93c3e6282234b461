"""The file manager of the desktop."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.errors import InaccessibleImageError
from ui.file_manager import NoFileManagerError, command_for, show_in_folder

LINUX = pytest.mark.skipif("sys.platform != 'linux'", reason="the program is a script of ours")


def test_each_platform_has_its_own() -> None:
    file = Path("/photos/a b.jpg")
    assert command_for(file, "linux") == ["xdg-open", "/photos"]
    assert command_for(file, "darwin") == ["open", "-R", "/photos/a b.jpg"]
    assert command_for(file, "win32")[0] == "explorer"


@LINUX
def test_a_desktop_without_one_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoFileManagerError, match=r"xdg-open could not open .* yourself"):
        show_in_folder(tmp_path / "a.jpg")


@LINUX
def test_one_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "xdg-open"
    program.write_text("#!/bin/sh\nexit 3\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(NoFileManagerError, match="ended with status 3"):
        show_in_folder(tmp_path / "a.jpg")


@LINUX
def test_one_that_stays_open_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, told = tmp_path / "xdg-open", tmp_path / "ended"
    program.write_text(f"#!/bin/sh\nsleep 1\ntouch {told}\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr("ui.file_manager.STARTED_S", 0.01)
    show_in_folder(tmp_path / "a.jpg")
    assert not told.exists()


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(InaccessibleImageError, match=r"its folder .* is not there"):
        show_in_folder(tmp_path / "gone" / "a.jpg")
