"""Archives as they come: odd names, damage, links, passwords, and bombs."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.errors import NoImagesError, UnreachableError
from indexer.images.decode import load_image
from indexer.run import BuildOptions
from indexer.sources import archives, members
from indexer.sources.access import read_file
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, RED, Colour, coloured, noise


def png(colour: Colour) -> bytes:
    out = io.BytesIO()
    coloured(colour).save(out, "PNG")
    return out.getvalue()


def make_zip(path: Path, files: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return path


def make_tar(path: Path, files: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_odd_names_cost_one_entry_each(desk: Desk, tmp_path: Path, make: object) -> None:
    names = ["../x.png", "/abs.png", "a/../../y.png", "a//b.png", "good.png", "twice.png"]
    files = [(name, png(RED)) for name in names] + [("twice.png", png(BLUE))]
    archive = (make_zip if make is make_zip else make_tar)(tmp_path / "odd.archive", files)
    archive = archive.rename(tmp_path / ("odd.zip" if make is make_zip else "odd.tar"))
    report = desk.index(archive)
    assert report.added == 2
    warned = {path.removeprefix(f"{archive}/"): why for path, why in report.warnings}
    assert set(warned) == {"../x.png", "/abs.png", "a/../../y.png", "a//b.png", "twice.png"}
    assert "twice" in warned["twice.png"]
    assert read_file(archive / "twice.png") == png(BLUE)
    assert not (tmp_path / "x.png").exists()


def test_links_in_a_tar_are_not_followed(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(png(GREEN))
    archive = make_tar(tmp_path / "links.tar", [("good.png", png(RED))])
    with tarfile.open(archive, "a") as file:
        for kind, target in ((tarfile.SYMTYPE, "../secret.png"), (tarfile.LNKTYPE, "good.png")):
            link = tarfile.TarInfo(f"link{kind.decode()}.png")
            link.type, link.linkname = kind, target
            file.addfile(link)
    report = desk.index(archive)
    assert report.added == 1
    assert [why for _, why in report.warnings] == ["is a link, which is not followed"] * 2


def test_what_is_missing_from_a_tar_that_is_cut_off_is_not_taken_to_be_gone(
    desk: Desk, tmp_path: Path
) -> None:
    files = [(f"{n}.png", png((n * 40, 10, 200))) for n in range(5)]
    archive = make_tar(tmp_path / "shard.tar", files)
    whole = archive.read_bytes()
    assert desk.index(archive).added == 5
    archive.write_bytes(whole[:1600])  # in the data of the second
    report = desk.index(archive)
    assert (report.removed, report.unchanged, len(report.failed)) == (0, 1, 1)
    assert any("end is missing" in why for _, why in report.warnings)
    assert len(desk.store.known_files()) == 5
    damaged = bytearray(whole)
    damaged[2048 : 2048 + 300] = b"\xff" * 300  # the header of the third
    archive.write_bytes(bytes(damaged))
    report = desk.index(archive)
    assert report.removed == 0
    assert any("damaged" in why for _, why in report.warnings)


def test_members_that_cannot_be_had_fail_one_by_one(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = io.BytesIO()
    Image.fromarray(noise(1, 300, 300)).save(pixels, "BMP")
    archive = make_zip(tmp_path / "some.zip", [("locked.png", png(RED)), ("lzma.png", png(RED))])
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("big.bmp", pixels.getvalue(), zipfile.ZIP_DEFLATED)
        file.writestr("rotten.png", png(BLUE), zipfile.ZIP_STORED)
        file.writestr("good.png", png(GREEN), zipfile.ZIP_DEFLATED)
    data = bytearray(archive.read_bytes())
    _patch_entry(data, b"locked.png", flags=1)
    _patch_entry(data, b"lzma.png", method=14)
    data[data.find(png(BLUE)) + 40] ^= 255
    archive.write_bytes(bytes(data))
    monkeypatch.setattr(members, "MEMBER_BYTES", 100_000)
    report = desk.index(archive)
    reasons = {Path(path).name: why for path, why in report.failed}
    assert report.added == 1
    assert "encrypted" in reasons["locked.png"]
    assert "method 14" in reasons["lzma.png"]
    assert "over the limit of 100,000" in reasons["big.bmp"]
    assert "checksum" in reasons["rotten.png"]
    assert desk.index(archive).unchanged == 1  # failures of the archive's own bytes last


def _patch_entry(data: bytearray, name: bytes, *, flags: int = 0, method: int = 0) -> None:
    """Change the flags and the method of a member in the directory of a zip."""
    start = data.rfind(name) - 46
    assert data[start : start + 4] == b"PK\x01\x02"
    struct.pack_into("<HH", data, start + 8, flags, method)


def test_a_member_that_lies_about_its_size_unpacks_to_no_more(desk: Desk, tmp_path: Path) -> None:
    archive = make_zip(
        tmp_path / "bomb.zip",
        [("bomb.png", bytes(50_000_000)), ("good.png", png(RED))],
        zipfile.ZIP_DEFLATED,
    )
    data = bytearray(archive.read_bytes())
    struct.pack_into("<L", data, data.rfind(b"bomb.png") - 46 + 24, 1000)
    archive.write_bytes(bytes(data))
    assert archive.stat().st_size < 100_000
    report = desk.index(archive)
    assert report.added == 1
    assert "damaged" in report.failed[0][1]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("none.zip", b""),
        ("text.zip", b"no archive" * 100),
        ("text.tar", b"no archive" * 100),
        ("cut.zip", b"PK\x03\x04" + bytes(200)),
    ],
)
def test_what_is_no_archive_changes_nothing(
    desk: Desk, tmp_path: Path, name: str, data: bytes
) -> None:
    archive = tmp_path / name
    archive.write_bytes(data)
    with pytest.raises(UnreachableError, match="archive"):
        desk.index(archive)
    good = make_zip(tmp_path / "good.zip", [("a.png", png(RED))])
    report = desk.index(archive, good)
    assert report.added == 1
    assert report.warnings[0][0] == str(archive)
    good.write_bytes(b"overwritten by something else")
    with pytest.raises(UnreachableError):
        desk.index(good)
    assert len(desk.store.known_files()) == 1


def test_a_packed_tar_is_refused_with_the_remedy(desk: Desk, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as file:
        file.add(__file__, "a.jpg")
    with pytest.raises(UnreachableError, match="Unpack it"):
        desk.index(tmp_path / "a.tar.gz")


def test_archives_in_a_folder_are_passed_over_and_counted(desk: Desk) -> None:
    make_zip(desk.photos / "inner.zip", [("a.png", png(RED))])
    (desk.photos / "b.png").write_bytes(png(BLUE))
    report = desk.index()
    assert (report.added, report.skipped) == (1, {".zip": 1})
    assert desk.index(desk.photos / "inner.zip").added == 1
    assert desk.index().removed == 0


def test_a_folder_may_be_called_like_an_archive(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "photos.zip").mkdir()
    (tmp_path / "photos.zip" / "a.png").write_bytes(png(RED))
    assert desk.index(tmp_path / "photos.zip").added == 1


def test_a_shard_of_webdataset_has_its_images_and_counts_the_rest(
    desk: Desk, tmp_path: Path
) -> None:
    files = [
        (f"{n:06}.{kind}", data)
        for n in range(3)
        for kind, data in (("png", png((n * 80, 90, 10))), ("json", b"{}"), ("txt", b"a cat"))
    ]
    shards = [make_tar(tmp_path / f"{n:03}.tar", files) for n in range(2)]
    report = desk.index(*shards)
    assert (report.added, report.skipped) == (6, {".json": 3 * 2, ".txt": 3 * 2})
    assert [Path(str(root)).name for root in desk.store.roots().values()] == ["000.tar", "001.tar"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_large_member_is_decoded_from_a_copy_or_in_part(
    desk: Desk, tmp_path: Path, method: int
) -> None:
    picture = Image.fromarray(noise(3, 1300, 1300))
    out = io.BytesIO()
    picture.save(out, "TIFF")
    assert len(out.getvalue()) > 4 << 20
    archive = make_zip(tmp_path / "large.zip", [("large.tif", out.getvalue())], method)
    assert desk.index(archive).added == 1
    loaded = load_image(archive / "large.tif")
    np.testing.assert_array_equal(loaded.pixels, np.asarray(picture))


def test_an_empty_archive_holds_no_images(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(NoImagesError, match="no images"):
        desk.index(make_tar(tmp_path / "empty.tar", []))


def test_a_tar_that_is_known_as_it_is_is_not_listed_again(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [(f"{n}.png", png((n * 60, 90, 10))) for n in range(4)]
    archive = make_tar(tmp_path / "shard.tar", [*files, ("0.json", b"{}"), ("bad.jpg", b"bad")])
    first = desk.index(archive)
    listed = []

    def count(*arguments: object) -> members.Members:
        listed.append(arguments)
        return members.read_members(*arguments)  # type: ignore[arg-type]  # what it was given

    monkeypatch.setattr(archives, "read_members", count)
    again = desk.index(archive)
    assert (again.unchanged, again.skipped, again.failed) == (4, {".json": 1}, first.failed)
    assert listed == []
    desk.store.remove([desk.store.known_files()[1, "2.png"].id])
    assert desk.index(archive).added == 1
    make_tar(archive, [*files, ("new.png", png(BLUE))])
    report = desk.index(archive)
    assert (report.added, report.unchanged) == (1, 4)
    assert desk.index(archive, options=BuildOptions(exclude=("new.png",))).removed == 1


def test_a_damaged_ignore_file_or_unknown_member_is_a_warning(desk: Desk, tmp_path: Path) -> None:
    files = [
        (".cbirignore", b"x"),
        ("odd.dat", png(BLUE)),
        ("photo.dat", png(GREEN)),
        ("a.png", png(RED)),
    ]
    archive = make_zip(tmp_path / "some.zip", files)
    data = bytearray(archive.read_bytes())
    _patch_entry(data, b".cbirignore", flags=1)
    _patch_entry(data, b"odd.dat", flags=1)
    archive.write_bytes(bytes(data))
    report = desk.index(archive, options=BuildOptions(sniff=True))
    assert report.added == 2
    assert {Path(path).name for path, _ in report.warnings} == {".cbirignore", "odd.dat"}
