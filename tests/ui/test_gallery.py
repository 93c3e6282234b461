from __future__ import annotations

import io
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from indexer.errors import InvalidQueryError, OutsideRootsError, UnreadableImageError
from indexer.remove import remove_images
from indexer.run import BuildOptions
from indexer.store.layout import is_derived_file
from indexer.store.store import Store
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, RED, Colour, is_upright, plain, quadrants, set_time
from ui.gallery import SCREEN_PX, THUMBNAIL_PX, THUMBNAIL_SIDES, Gallery, version_of

GREY: Colour = (208, 208, 208)


@pytest.fixture
def gallery(desk: Desk) -> Gallery:
    return Gallery(desk.store)


def thumbnail(gallery: Gallery, image_id: int) -> bytes:
    [made] = gallery.thumbnails([gallery.info(image_id)])
    return made


def opened(jpeg: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(jpeg))
    assert image.format == "JPEG"
    return image


def is_coloured(image: Image.Image, colour: Colour) -> bool:
    seen = image.getpixel((image.width * 9 // 10, image.height * 9 // 10))
    assert isinstance(seen, tuple)
    return all(abs(a - b) < 12 for a, b in zip(seen, colour, strict=True))


def is_plate(jpeg: bytes) -> bool:
    image = opened(jpeg)
    return image.size == (THUMBNAIL_PX, THUMBNAIL_PX * 3 // 4) and is_coloured(image, GREY)


def kept(gallery: Gallery) -> list[Path]:
    return sorted(p for p in gallery.store.derived.path.rglob("*") if p.is_file())


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1600, 800), (320, 160)), ((300, 1200), (80, 320)), ((48, 32), (48, 32))],
)
def test_a_thumbnail_fits_and_is_never_enlarged(
    desk: Desk, gallery: Gallery, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    plain(desk.photos / "a.png", BLUE, size)
    desk.index()
    image = opened(thumbnail(gallery, desk.id_of("a.png")))
    assert image.size == expected
    assert is_coloured(image, BLUE)


def test_the_thumbnail_of_two_pixels(desk: Desk, gallery: Gallery) -> None:
    plain(desk.photos / "a.png", BLUE, (2, 1))
    desk.index()
    assert opened(thumbnail(gallery, desk.id_of("a.png"))).size == (2, 1)


def save_with_metadata(path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Pinhole"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    turned = quadrants(960, 640).transpose(Image.Transpose.ROTATE_90)
    turned.save(path, exif=exif, comment=b"of the family")


def test_a_turned_photo_is_shown_upright(desk: Desk, gallery: Gallery) -> None:
    save_with_metadata(desk.photos / "a.jpg")
    desk.index()
    image = opened(thumbnail(gallery, desk.id_of("a.jpg")))
    assert image.size == (320, 213)
    assert is_upright(image)
    picture = gallery.picture(desk.id_of("a.jpg"), 400)
    assert picture.size == (400, 267)
    assert is_upright(picture)


def test_a_thumbnail_tells_nothing_of_the_exif_data(desk: Desk, gallery: Gallery) -> None:
    save_with_metadata(desk.photos / "a.jpg")
    desk.index()
    made = thumbnail(gallery, desk.id_of("a.jpg"))
    assert not opened(made).getexif()
    assert b"Exif" not in made
    assert b"Pinhole" not in made


def test_a_thumbnail_tells_nothing_of_the_comment(desk: Desk, gallery: Gallery) -> None:
    save_with_metadata(desk.photos / "a.jpg")
    desk.index()
    assert b"of the family" not in thumbnail(gallery, desk.id_of("a.jpg"))


def test_a_picture_is_no_larger_than_a_screen(desk: Desk, gallery: Gallery) -> None:
    plain(desk.photos / "a.png", BLUE, (3000, 1500))
    desk.index()
    assert gallery.picture(desk.id_of("a.png")).size == (SCREEN_PX, SCREEN_PX // 2)


def test_a_thumbnail_is_made_once(desk: Desk, gallery: Gallery) -> None:
    plain(desk.photos / "a.png", BLUE)
    desk.index()
    made = thumbnail(gallery, desk.id_of("a.png"))
    [place] = kept(gallery)
    assert place.read_bytes().startswith(made)
    _, name = place.name.split("-", 1)
    assert gallery.store.derived.write(name, b"as it was kept", desk.id_of("a.png"))
    assert thumbnail(Gallery(desk.store), desk.id_of("a.png")) == b"as it was kept"


def test_a_changed_photo_gets_a_new_thumbnail(desk: Desk, gallery: Gallery) -> None:
    path = plain(desk.photos / "a.png", BLUE)
    set_time(path, 1000)
    desk.index()
    image_id = desk.id_of("a.png")
    assert is_coloured(opened(thumbnail(gallery, image_id)), BLUE)
    plain(path, RED)
    set_time(path, 2000)
    assert is_coloured(opened(thumbnail(gallery, image_id)), RED)
    desk.index()
    assert is_coloured(opened(thumbnail(gallery, desk.id_of("a.png"))), RED)


def test_a_thumbnail_of_each_size_is_kept(desk: Desk, gallery: Gallery) -> None:
    plain(desk.photos / "a.png", BLUE, (1600, 800))
    desk.index()
    info = gallery.info(desk.id_of("a.png"))
    for _ in range(2):
        for side in THUMBNAIL_SIDES:
            assert opened(gallery.thumbnail(info, side)).size == (side, side // 2)
    assert len(kept(gallery)) == len(THUMBNAIL_SIDES)
    assert all(is_derived_file(path.name) for path in kept(gallery))


def test_a_version_is_that_of_the_file_and_its_page(desk: Desk, gallery: Gallery) -> None:
    path = plain(desk.photos / "a.png", BLUE)
    shutil.copy(path, desk.photos / "copy.png")
    pages = [quadrants(), quadrants(64, 64)]
    pages[0].save(desk.photos / "pages.tif", save_all=True, append_images=pages[1:])
    desk.index(options=BuildOptions(pages="all"))
    ids = desk.store.reader.images_of(sha256(path.read_bytes()).digest())
    assert {version_of(gallery.info(id_)) for id_ in ids} == {
        sha256(path.read_bytes()).hexdigest()[:16]
    }
    names = ("pages.tif", "pages.tif#page=2")
    assert len({version_of(gallery.info(desk.id_of(name))) for name in names}) == 2
    path.unlink()  # no file is read
    before = version_of(gallery.info(desk.id_of("a.png")))
    plain(path, RED)
    desk.index()
    assert version_of(gallery.info(desk.id_of("a.png"))) != before


def test_an_image_whose_content_is_not_known_has_no_version(desk: Desk, gallery: Gallery) -> None:
    plain(desk.photos / "a.png", BLUE)
    desk.index()
    info = gallery.info(desk.id_of("a.png"))
    assert version_of(replace(info, content_hash=b"")) == ""


def test_thumbnails_come_in_the_order_asked_for(desk: Desk, gallery: Gallery) -> None:
    colours = {"a.png": RED, "b.png": GREEN, "c.png": BLUE}
    for name, colour in colours.items():
        plain(desk.photos / name, colour)
    desk.index()
    (desk.photos / "b.png").unlink()
    asked = ["c.png", "b.png", "a.png", "c.png"]
    infos = {name: gallery.info(desk.id_of(name)) for name in colours}
    for _ in range(2):
        made = gallery.thumbnails([infos[name] for name in asked])
        assert is_plate(made[1])
        assert is_coloured(opened(made[0]), BLUE)
        assert is_coloured(opened(made[2]), RED)
        assert made[3] == made[0]
    assert len(kept(gallery)) == 2  # a plate is not kept: the file may come back
    assert gallery.thumbnails([]) == []


def check_hidden(gallery: Gallery, image_id: int) -> None:
    for show in (gallery.file, gallery.picture):
        with pytest.raises(OutsideRootsError, match="outside the indexed folders"):
            show(image_id)
    assert is_plate(thumbnail(gallery, image_id))
    assert kept(gallery) == []


def test_a_link_that_leads_outside_is_not_shown(
    desk: Desk, gallery: Gallery, tmp_path: Path
) -> None:
    secret = plain(tmp_path / "secret.png", RED, (640, 480))
    (desk.photos / "link.png").symlink_to(secret)
    desk.index()
    check_hidden(gallery, desk.id_of("link.png"))


def test_a_namesake_of_the_folder_lies_outside(
    desk: Desk, gallery: Gallery, tmp_path: Path
) -> None:
    secret = plain(tmp_path / f"{desk.photos.name}-private" / "a.png", RED, (640, 480))
    (desk.photos / "link.png").symlink_to(secret)
    desk.index()
    check_hidden(gallery, desk.id_of("link.png"))


@pytest.mark.parametrize("seen_before", [False, True])
def test_a_folder_that_became_a_link_is_not_followed(
    desk: Desk, gallery: Gallery, tmp_path: Path, seen_before: bool
) -> None:
    plain(desk.photos / "trip" / "day" / "a.png", BLUE)
    plain(tmp_path / "outside" / "day" / "a.png", RED, (640, 480))
    desk.index()
    image_id = desk.id_of("trip/day/a.png")
    if seen_before:
        assert is_coloured(opened(thumbnail(gallery, image_id)), BLUE)
        [place] = kept(gallery)
        place.unlink()
    (desk.photos / "trip").rename(tmp_path / "trip")
    (desk.photos / "trip").symlink_to(tmp_path / "outside")
    check_hidden(gallery, image_id)


def test_links_within_the_folders_are_followed(
    desk: Desk, gallery: Gallery, tmp_path: Path
) -> None:
    plain(desk.photos / "a.png", BLUE)
    (desk.photos / "link.png").symlink_to(desk.photos / "a.png")
    (tmp_path / "alias").symlink_to(desk.photos)
    desk.index()
    desk.index(tmp_path / "alias")  # a root may be a link itself
    for path in (desk.photos / "link.png", tmp_path / "alias" / "a.png"):
        info = desk.store.find_image(path)
        assert info is not None
        assert gallery.file(info.id) == (desk.photos / "a.png").resolve()
        assert is_coloured(opened(thumbnail(gallery, info.id)), BLUE)


def test_an_unknown_id(gallery: Gallery) -> None:
    for show in (gallery.info, gallery.file, gallery.picture):
        with pytest.raises(InvalidQueryError, match="no image 99"):
            show(99)


def test_a_file_that_is_gone_or_no_longer_a_picture(desk: Desk, gallery: Gallery) -> None:
    plain(desk.photos / "gone.png", BLUE)
    plain(desk.photos / "spoilt.png", BLUE)
    desk.index()
    (desk.photos / "gone.png").unlink()
    (desk.photos / "spoilt.png").write_text("no picture", "utf-8")
    for name in ("gone.png", "spoilt.png"):
        assert is_plate(thumbnail(gallery, desk.id_of(name)))
        with pytest.raises(UnreadableImageError):
            gallery.picture(desk.id_of(name))
    assert kept(gallery) == []


def test_where_thumbnails_cannot_be_kept_they_are_made_anew(desk: Desk) -> None:
    plain(desk.photos / "a.png", BLUE)
    desk.index()
    desk.store.derived.path.write_text(
        "a file where the folder should be", "utf-8"
    )  # binds root too
    gallery = Gallery(desk.store)
    for _ in range(2):
        assert is_coloured(opened(thumbnail(gallery, desk.id_of("a.png"))), BLUE)


def test_a_thumbnail_goes_with_its_image(desk: Desk, gallery: Gallery) -> None:
    plain(desk.photos / "a.png", BLUE)
    plain(desk.photos / "b.png", GREEN)
    desk.index()
    for name in ("a.png", "b.png"):
        thumbnail(gallery, desk.id_of(name))
    remove_images(desk.store, [desk.photos / "a.png"])
    assert len(kept(gallery)) == 1
    plain(desk.photos / "b.png", RED)
    desk.index()
    assert kept(gallery) == []
    thumbnail(gallery, desk.id_of("b.png"))
    Store.delete(desk.store.path)
    assert not desk.store.derived.path.exists()
