from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from indexer.images.find import Excluded, Walk, find_images


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(folder: Path, *exclude: str, skip: Path | None = None) -> list[str]:
    found = find_images(folder, excluded=Excluded({folder: exclude}), skip=skip)
    return [Path(entry.path).relative_to(folder).as_posix() for entry in found]


def test_images_are_found_by_suffix_in_any_case(tmp_path: Path) -> None:
    touch(tmp_path, "a.JPG", "b.jpeg", "c.Png", "d.heic", "e.avif", "f.txt", "g.mp4", "jpg", "h")
    assert names(tmp_path) == ["a.JPG", "b.jpeg", "c.Png", "d.heic", "e.avif"]


def test_the_order_is_fixed_files_before_their_sibling_folders(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.jpg", "b/1.jpg", "z.jpg", "a/9.jpg", "a/sub/0.jpg", "m.jpg")
    expected = ["m.jpg", "z.jpg", "a/9.jpg", "a/sub/0.jpg", "b/1.jpg", "b/2.jpg"]
    assert names(tmp_path) == expected


def test_hidden_files_and_thumbnail_folders_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "._a.jpg", ".hidden.jpg", ".cache/b.jpg", "@eaDir/c.jpg", "__MACOSX/d.jpg")
    touch(tmp_path, "@Recycle/e.jpg", "#snapshot/f.jpg", "System Volume Information/g.jpg")
    touch(tmp_path, "a.jpg")
    assert names(tmp_path) == ["a.jpg"]


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.png", ["a.jpg", "raw/c.jpg"]),
        ("raw", ["a.jpg", "b.png"]),
        ("raw/*", ["a.jpg", "b.png"]),
        ("c.*", ["a.jpg", "b.png"]),
        ("nothing", ["a.jpg", "b.png", "raw/c.jpg"]),
    ],
)
def test_exclude(tmp_path: Path, pattern: str, left: list[str]) -> None:
    touch(tmp_path, "a.jpg", "b.png", "raw/c.jpg")
    assert names(tmp_path, pattern) == left


def test_a_folder_to_skip(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "store/b.jpg")
    assert names(tmp_path, skip=tmp_path / "store") == ["a.jpg"]


def test_links_to_files_are_followed_links_to_folders_are_not(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.jpg")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "loop.jpg").symlink_to(tmp_path)
    (tmp_path / "link.jpg").symlink_to(tmp_path / "real" / "a.jpg")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    assert names(tmp_path) == ["link.jpg", "real/a.jpg"]


def test_names_in_every_script(tmp_path: Path) -> None:
    expected = sorted(
        ["größe.jpg", "写真.jpg", "фото.jpg", "📷.jpg", "two words.jpg"], key=os.fsencode
    )
    touch(tmp_path, *expected)
    assert names(tmp_path) == expected


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names there are always Unicode")
def test_names_that_are_not_text(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9\xff.jpg")
    touch(tmp_path, name)
    assert names(tmp_path) == [name]


# --- what cannot be read, and what is passed over -------------------------------------------------


def test_files_that_are_no_images_are_counted_by_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "film.MP4", "sub/b.mp4", "notes.txt", "README", ".hidden.txt")
    walk = Walk()
    assert len(list(find_images(tmp_path, walk=walk))) == 1
    assert walk.skipped == {".mp4": 2, ".txt": 1, "": 1}
    assert walk.problems == []


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, error: OSError) -> None:
    """Let a folder of this name be one that cannot be listed, whoever asks."""
    real = os.scandir

    def scandir(path: Path) -> object:
        if Path(path).name == name:
            raise error
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (FileNotFoundError(2, "No such file or directory"), "No such file"),
    ],
)
def test_a_folder_that_cannot_be_listed_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
) -> None:
    touch(tmp_path, "a.jpg", "lost+found/b.jpg", "z/c.jpg")
    refuse(monkeypatch, "lost+found", error)
    walk = Walk()
    found = [entry.name for entry in find_images(tmp_path, walk=walk)]
    assert found == ["a.jpg", "c.jpg"]
    [(path, told)] = walk.problems
    assert path == str(tmp_path / "lost+found")
    assert reason in told


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such links and pipes")
def test_loops_pipes_and_dead_links_end_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "dead.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    walk = Walk()
    assert [entry.name for entry in find_images(tmp_path, sniff=True, walk=walk)] == ["a.jpg"]
    assert {Path(path).name for path, _ in walk.problems} <= {"loop.jpg"}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such links and pipes")
def test_what_is_no_file_is_counted_by_its_kind(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "real/b.jpg")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "dead.jpg").symlink_to(tmp_path / "nowhere.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/null")
    walk = Walk()
    assert len(list(find_images(tmp_path, walk=walk))) == 2
    assert walk.skipped == {"folder link": 1, "broken link": 1, "special file": 2}
    assert walk.broken == {str(tmp_path / "dead.jpg")}


def test_sniffing_finds_images_of_other_suffixes(tmp_path: Path) -> None:
    kinds = {"scan": "PNG", "pic.dat": "JPEG", "x.img": "WEBP", "g": "GIF", "n": "PPM"}
    for name, format_ in kinds.items():
        Image.new("RGB", (4, 4)).save(tmp_path / name, format_)
    touch(tmp_path, "text", "short")
    (tmp_path / "note").write_text("P3 is the third paragraph", "utf-8")
    (tmp_path / "empty").write_bytes(b"")
    assert names(tmp_path) == []
    found = [entry.name for entry in find_images(tmp_path, sniff=True)]
    assert found == sorted(kinds)


IGNORED = """\
# what is not to be found
*.png
!keep.png
/top.jpg
raw/
deep/**/x.jpg
"""


def test_an_ignore_file(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "keep.png", "top.jpg", "sub/top.jpg", "raw/a.jpg", "sub/raw/b.jpg")
    touch(tmp_path, "deep/1/2/x.jpg", "deep/1/y.jpg", "raw.jpg")
    (tmp_path / ".cbirignore").write_text(IGNORED, "utf-8")
    assert names(tmp_path) == ["keep.png", "raw.jpg", "deep/1/y.jpg", "sub/top.jpg"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_ignore_file_of_another_encoding(tmp_path: Path, encoding: str) -> None:
    touch(tmp_path, "größe.jpg", "a.png", "b.jpg")
    (tmp_path / ".cbirignore").write_text("größe.*\n*.png\n", encoding)
    assert names(tmp_path) == ["b.jpg"]


def test_an_ignore_file_holds_below_its_folder(tmp_path: Path) -> None:
    touch(tmp_path, "x.jpg", "sub/x.jpg", "sub/a.jpg", "sub/deep/x.jpg")
    (tmp_path / "sub" / ".cbirignore").write_text("x.jpg\n", "utf-8")
    assert names(tmp_path) == ["x.jpg", "sub/a.jpg"]
    (tmp_path / ".cbirignore").write_text("a.jpg\n", "utf-8")
    found = find_images(tmp_path / "sub" / "deep", top=tmp_path)
    assert [entry.name for entry in found] == []


def test_an_ignore_file_with_a_bad_pattern_is_a_problem(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / ".cbirignore").write_text("!\n", "utf-8")
    walk = Walk()
    assert [entry.name for entry in find_images(tmp_path, walk=walk)] == ["a.jpg"]
    [(path, reason)] = walk.problems
    assert (path, "Invalid git pattern" in reason) == (str(tmp_path / ".cbirignore"), True)


def test_a_glob_with_a_slash_in_front_is_one_of_paths(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "sub/a.jpg", "sub/b.jpg")
    assert names(tmp_path, "/a.jpg") == ["sub/a.jpg", "sub/b.jpg"]
    assert names(tmp_path, "/sub/a*") == ["a.jpg", "sub/b.jpg"]
