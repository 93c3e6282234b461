"""No link in a store is read, written or deleted through."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.errors import StoreError
from indexer.store import folder as folders
from indexer.store.folder import StoreFolder, open_folder


@pytest.fixture(params=[True, False])
def _by_handle(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With folders held open, and as where that is not possible."""
    if request.param and not folders.BY_HANDLE:
        pytest.skip("this system opens no folders")
    monkeypatch.setattr(folders, "BY_HANDLE", request.param)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file of somebody else, with links to it and to its folder in a folder of cbir's."""
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "mine.txt"
    file.write_text("mine", "utf-8")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "link").symlink_to(file)
    (tmp_path / "own" / "inner").symlink_to(tmp_path / "elsewhere")
    return file


def write(folder: StoreFolder) -> None:
    with folder.write("link") as file:
        file.write(b"gone")


def go_in(folder: StoreFolder) -> None:
    with folder.folder("inner") as inner:
        inner.delete("mine.txt")


@pytest.mark.usefixtures("_by_handle")
@pytest.mark.parametrize("use", [lambda folder: folder.read("link"), write, go_in])
def test_links_are_refused(
    tmp_path: Path, mine: Path, use: Callable[[StoreFolder], object]
) -> None:
    with open_folder(tmp_path / "own") as folder, pytest.raises(StoreError, match="is a link"):
        use(folder)
    assert mine.read_text("utf-8") == "mine"


@pytest.mark.usefixtures("_by_handle")
def test_a_link_itself_is_deleted(tmp_path: Path, mine: Path) -> None:
    with open_folder(tmp_path / "own") as folder:
        assert (folder.is_link("link"), folder.is_file("link")) == (True, False)
        folder.delete("link")
        assert not folder.exists("link")
        folder.delete("link")  # nothing is to be there in the end
    assert mine.read_text("utf-8") == "mine"


@pytest.mark.usefixtures("_by_handle", "mine")
def test_a_linked_folder_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a link to"), open_folder(tmp_path / "own" / "inner"):
        pass
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(NotADirectoryError), open_folder(tmp_path / "file"):
        pass
    with pytest.raises(FileNotFoundError), open_folder(tmp_path / "none"):
        pass


@pytest.mark.skipif(not folders.BY_HANDLE, reason="this system opens no folders")
def test_a_link_that_takes_the_place_of_an_open_folder_is_not_used(
    tmp_path: Path, mine: Path
) -> None:
    with open_folder(tmp_path / "own") as folder:
        (tmp_path / "own").rename(tmp_path / "moved")
        (tmp_path / "own").symlink_to(mine.parent)
        folder.delete("mine.txt")
        with folder.write("new") as file:
            file.write(b"new")
    assert mine.read_text("utf-8") == "mine"
    assert (tmp_path / "moved" / "new").read_text("utf-8") == "new"


@pytest.mark.usefixtures("_by_handle")
def test_files_are_written_read_and_replaced(tmp_path: Path) -> None:
    with open_folder(tmp_path / "made", create=True) as folder:
        for text in (b"first", b"2"):
            with folder.write("a") as file:
                file.write(text)
        assert folder.size_of("a") == 1
        with folder.write("b") as file:
            file.write(b"other")
        folder.replace("b", "a")
        with folder.read("a") as file:
            assert file.read() == b"other"
        with folder.folder("deep", create=True) as deep:
            assert deep.names() == []
        folder.sync()
        assert folder.names() == ["a", "deep"]
        with pytest.raises(FileNotFoundError):
            folder.read("none")


@pytest.mark.usefixtures("_by_handle")
@pytest.mark.parametrize("name", ["", ".", "..", "../a", "/etc/passwd", f"a{os.sep}b"])
def test_names_do_not_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with open_folder(tmp_path) as folder, pytest.raises(ValueError, match="no name of a file"):
        folder.read(name)


@pytest.mark.usefixtures("_by_handle")
def test_files_may_come_and_go_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "settings.json.part"
    ended = threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            file.write_text("{}", "utf-8")
            file.unlink(missing_ok=True)

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        with open_folder(tmp_path) as folder:
            for _ in range(3_000):
                folder.is_file(file.name)
                assert not folder.is_link(file.name)
            for _ in range(300):
                folder.write(file.name).close()
    finally:
        ended.set()
        other.join(60)
