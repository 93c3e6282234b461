"""What the images on a map are coloured by."""

from __future__ import annotations

from PIL import Image

from indexer.store.tags import replace_tags, save_concept
from tests.desk import Desk
from tests.pictures import coloured, plain, shades
from ui.map_groups import MOST_GROUPS, group_images, spans_of

DATE_TAKEN = 0x9003
EXIF = 0x8769


def ids_of(desk: Desk, *names: str) -> list[int]:
    found = [desk.store.find_image(desk.photos / name) for name in names]
    return [info.id for info in found if info is not None]


def dated(desk: Desk, name: str, year: int, number: int) -> None:
    exif = Image.Exif()
    exif.get_ifd(EXIF)[DATE_TAKEN] = f"{year}:05:01 12:00:00"
    coloured(shades(40)[number]).save(desk.photos / name, exif=exif)


def test_folders_are_named_where_they_first_differ(desk: Desk) -> None:
    colours = iter(shades(4))
    for name in ("old/a/1.png", "old/b/2.png", "old/b/3.png"):
        plain(desk.photos / name, next(colours))
    desk.index()
    groups = group_images(desk.store, ids_of(desk, "old/a/1.png", "old/b/2.png"), "folder")
    assert (groups.names, groups.counts) == (["photos/old/a", "photos/old/b"], [1, 1])
    assert groups.numbers == [0, 1]
    plain(desk.photos / "new" / "4.png", next(colours))
    desk.index()
    every = ids_of(desk, "old/a/1.png", "old/b/2.png", "new/4.png")
    groups = group_images(desk.store, every, "folder")
    assert dict(zip(groups.names, groups.counts, strict=True)) == {"photos/old": 2, "photos/new": 1}


def test_years_are_in_order_and_what_has_none_is_apart(desk: Desk) -> None:
    for number, year in enumerate((2019, 2021, 2021)):
        dated(desk, f"{number}.jpg", year, number)
    plain(desk.photos / "undated.png", shades(40)[30])
    desk.index()
    groups = group_images(
        desk.store, ids_of(desk, "1.jpg", "0.jpg", "2.jpg", "undated.png"), "date"
    )
    assert (groups.names, groups.counts, groups.numbers) == (
        ["2019", "2021"],
        [1, 2],
        [1, 0, 1, -1],
    )
    assert groups.rest == "no date"


def test_many_years_are_spans() -> None:
    spans = spans_of(range(2000, 2020))
    assert len(set(spans.values())) <= MOST_GROUPS
    assert (spans[2000], spans[2002], spans[2003]) == ("2000–2002", "2000–2002", "2003–2005")
    assert spans_of([2007, 2011]) == {2007: "2007", 2011: "2011"}


def test_of_several_tags_the_most_probable_counts(desk: Desk) -> None:
    for number, colour in enumerate(shades(3)):
        plain(desk.photos / f"{number}.png", colour)
    desk.index()
    first, second, third = ids_of(desk, "0.png", "1.png", "2.png")
    with desk.store.writing():
        for name in ("cat", "dog"):
            save_concept(desk.store, name, "{}")
        replace_tags(desk.store, {"cat": {first: 0.9, second: 0.6}, "dog": {second: 0.8}})
    groups = group_images(desk.store, [first, second, third], "tag")
    assert [[*groups.names, groups.rest][number] for number in groups.numbers] == [
        "cat", "dog", "no tag",
    ]  # fmt: skip


def test_the_largest_groups_have_colours(desk: Desk) -> None:
    colours = iter(shades(MOST_GROUPS + 4))
    for number in range(MOST_GROUPS + 2):
        plain(desk.photos / f"folder {number}" / "1.png", next(colours))
    plain(desk.photos / f"folder {MOST_GROUPS + 1}" / "2.png", next(colours))
    desk.index()
    last = f"folder {MOST_GROUPS + 1}"
    [image] = ids_of(desk, f"{last}/2.png")
    every = [int(i) for i in desk.search().collection.index(
        desk.store.find_kind("conv", "image")
    ).live_ids()]  # fmt: skip
    groups = group_images(desk.store, every, "folder")
    assert len(groups.names) == MOST_GROUPS
    assert groups.names[0] == f"photos/{last}"
    assert groups.numbers[every.index(image)] == 0
    assert groups.numbers.count(-1) == 2
