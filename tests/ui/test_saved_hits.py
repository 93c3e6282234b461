from __future__ import annotations

import csv
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from indexer.errors import CbirError
from indexer.features.regions import Region
from retrieval.query import Hit
from tests.ui.conftest import Album
from ui.saved_hits import save_hits


def hit(rank: int, path: Path, **fields: str) -> Hit:
    return Hit(rank, rank, path, 0.5, Region(1, 2, 3, 4), annotations=fields)


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    file = tmp_path / "photos" / "cat.jpg"
    file.parent.mkdir()
    file.write_bytes(b"a cat")
    return file


def read_table(folder: Path) -> list[dict[str, str]]:
    text = (folder / "hits.csv").read_text("utf-8", "surrogateescape")
    return list(csv.DictReader(text.splitlines()))


def test_copies_in_order_with_a_table(cat: Path, tmp_path: Path) -> None:
    page = Path(f"{cat}#page=2")
    gone = cat.with_name("gone.png")
    hits = [hit(1, cat, title="Tom"), hit(2, page), hit(3, gone)]
    missing = save_hits(tmp_path / "new" / "found", hits)
    assert missing == [(str(gone), "file is gone")]
    found = tmp_path / "new" / "found"
    assert sorted(p.name for p in found.iterdir()) == ["001-cat.jpg", "002-cat.jpg", "hits.csv"]
    assert (found / "001-cat.jpg").read_bytes() == b"a cat"
    assert (found / "001-cat.jpg").stat().st_mtime_ns == cat.stat().st_mtime_ns
    first, second, third = read_table(found)
    assert (first["rank"], first["file"], first["path"]) == ("1", "001-cat.jpg", str(cat))
    assert (first["box"], first["title"], first["note"]) == ("1,2,3,4", "Tom", "")
    assert second["path"] == str(page)
    assert (third["file"], third["note"]) == ("", "file is gone")


def test_nothing_is_overwritten(cat: Path, tmp_path: Path) -> None:
    found = tmp_path / "found"
    found.mkdir()
    (found / "002-cat.jpg").write_text("mine", "utf-8")
    with pytest.raises(CbirError, match=r"002-cat\.jpg is there already.*another folder"):
        save_hits(found, [hit(1, cat), hit(2, cat)])
    assert [p.name for p in found.iterdir()] == ["002-cat.jpg"]
    (found / "002-cat.jpg").rename(found / "other.jpg")
    save_hits(found, [hit(1, cat), hit(2, cat)])
    with pytest.raises(CbirError, match=r"hits\.csv is there already"):
        save_hits(found, [])


def test_a_dangling_link_is_there_as_well(cat: Path, tmp_path: Path) -> None:
    (tmp_path / "001-cat.jpg").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CbirError, match="is there already"):
        save_hits(tmp_path, [hit(1, cat)])
    assert not (tmp_path / "elsewhere").exists()


def test_links(cat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cat.parent)
    save_hits(tmp_path / "soft", [hit(1, Path("cat.jpg"))], links=True)
    assert (tmp_path / "soft" / "001-cat.jpg").readlink() == cat

    def refuse(*_: object) -> None:
        raise OSError("no rights")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    save_hits(tmp_path / "hard", [hit(1, cat)], links=True)
    assert (tmp_path / "hard" / "001-cat.jpg").samefile(cat)


def test_photos_in_archives_are_fetched_also_with_links(cat: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(cat, "b/cat.jpg")
    inside = tmp_path / "photos.zip" / "b" / "cat.jpg"
    absent = tmp_path / "photos.zip" / "absent.jpg"
    missing = save_hits(tmp_path / "found", [hit(1, inside), hit(2, absent)], links=True)
    assert (tmp_path / "found" / "001-cat.jpg").read_bytes() == b"a cat"
    assert [path for path, _ in missing] == [str(absent)]
    assert "no such file" in read_table(tmp_path / "found")[1]["note"]


def test_a_link_that_leads_out_of_the_folders_of_a_foreign_store(cat: Path, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    link = tmp_path / "theirs" / "link.jpg"
    link.symlink_to(cat)
    [(_, reason)] = save_hits(tmp_path / "found", [hit(1, link)], roots=[link.parent])
    assert "leads away" in reason
    assert save_hits(tmp_path / "again", [hit(1, link)]) == []


def test_no_cell_becomes_a_formula(tmp_path: Path) -> None:
    odd = tmp_path / "=1+1.jpg"
    odd.write_bytes(b"x")
    fields = {"=A1": "-5", "call": "+49 30 1234", "note": "@x", "web": '=HYPERLINK("x")', "a": "b"}
    save_hits(tmp_path / "found", [hit(1, odd, **fields)])
    [row] = read_table(tmp_path / "found")
    assert (row["file"], row["path"]) == ("001-=1+1.jpg", str(odd))
    assert (row["'=A1"], row["call"], row["note_field"]) == ("-5", "'+49 30 1234", "'@x")
    assert (row["web"], row["a"], row["note"]) == ('\'=HYPERLINK("x")', "b", "")


def test_long_and_odd_names(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    long = folder / f"{'ü' * 125}.jpg"
    odd = folder / os.fsdecode(b"\xff.jpg")
    for file in (long, odd):
        file.write_bytes(b"x")
    assert save_hits(tmp_path / "found", [hit(1, long), hit(2, odd)]) == []
    first, second = read_table(tmp_path / "found")
    assert (tmp_path / "found" / first["file"]).read_bytes() == b"x"
    assert second["path"] == str(odd)


def test_a_copy_that_fails_leaves_no_half_file(
    cat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ui.saved_hits._copy", stop)
    with pytest.raises(KeyboardInterrupt):
        save_hits(tmp_path / "found", [hit(1, cat)])
    assert list((tmp_path / "found").iterdir()) == []


def test_a_folder_that_is_a_file(cat: Path) -> None:
    with pytest.raises(CbirError, match="cannot be saved"):
        save_hits(cat, [hit(1, cat)])


def test_the_command(cbir: Callable[..., Result], album: Album, tmp_path: Path) -> None:
    command = ("query", album.photos / "coffee.jpg", "--store", album.store, "-k", 3)
    done = cbir(*command, "--save-hits", tmp_path / "found", "--json")
    assert done.exit_code == 0
    assert "3 photos are in" in done.stderr
    files = sorted((tmp_path / "found").iterdir())
    assert files[0].name == "001-coffee.jpg"
    assert files[0].read_bytes() == (album.photos / "coffee.jpg").read_bytes()
    assert len(files) == 4
    assert cbir(*command, "--save-hits", tmp_path / "found").exit_code == 1
    assert cbir(*command, "--link").exit_code == 2
    assert cbir("query", "--batch", "x", "--save-hits", "y").exit_code == 2
    shutil.rmtree(tmp_path / "found")
    assert cbir(*command, "--save-hits", tmp_path / "found", "--link").exit_code == 0
    assert (tmp_path / "found" / "001-coffee.jpg").is_symlink()
