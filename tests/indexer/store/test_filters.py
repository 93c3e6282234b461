"""Filters and counts; the store is filled by hand, for no pixels are looked at."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.features.extractor import ImageFeatures
from indexer.images.facts import ImageFacts
from indexer.sources.place import path_below
from indexer.store.filters import ImageFilter, count_folders, find_ids, folders, images_at
from indexer.store.records import Entry, FileState
from indexer.store.statistics import count_images
from indexer.store.store import Store
from tests.colour_grid import colour_spec

NEW_YEAR = dt.date(2023, 1, 1)
DATES = {
    "2023/b.jpg": dt.datetime(2023, 1, 1, 0, 0, 0),
    "2023/summer/C.JPG": dt.datetime(2023, 7, 9, 12, 30),
    "2023-old/d.jpg": dt.datetime(2022, 12, 31, 23, 59, 59),
    "2023/failed.jpg": dt.datetime(1999, 1, 1),
}
CAMERAS = {"a.jpg": "Pinhole", "2023/b.jpg": "Obscura", "2023-old/d.jpg": "Pinhole"}
PHOTOS = sorted(["a.jpg", "IMG[1].jpg", "img2.jpg", "x[!-].png", "Straße.jpg", *DATES])

LETTERS = [f"photos/{name}" for name in PHOTOS if len(Path(name).stem) == 1]


@dataclass(frozen=True)
class Shelf:
    """A store of two folders of photos, `photos` and `more`; not to be changed by tests."""

    folder: Path
    store: Store

    def find(self, wanted: ImageFilter) -> list[str]:
        infos = self.store.image_infos(find_ids(self.store, wanted))
        return sorted(path_below(self.folder, i.path) for i in infos.values())

    def below(self, folder: str) -> list[str]:
        return self.find(ImageFilter(folder=self.folder / folder))


def entry(root: int, path: str) -> Entry:
    file = FileState(root, path, 10, 20, b"h" * 32)
    if "failed" in path:
        return Entry(file, ImageFacts(4, 3, "JPEG", DATES.get(path), "Broken"), reason="is empty")
    vectors = np.ones((1, 8), np.float32)
    features = ImageFeatures({"conv": vectors, "fc": vectors})
    return Entry(file, ImageFacts(4, 3, "JPEG", DATES.get(path), CAMERAS.get(path)), features)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    folder = tmp_path_factory.mktemp("shelf")
    store = Store.create(folder / ".cbir", colour_spec())
    photos, more = (store.add_root(folder / name) for name in ("photos", "more"))
    store.commit([*(entry(photos, path) for path in PHOTOS), entry(more, "2023/e.jpg")])
    yield Shelf(folder, store)
    store.close()


def test_an_empty_filter_means_every_good_image(shelf: Shelf) -> None:
    assert not ImageFilter()
    found = shelf.find(ImageFilter())
    assert found == ["more/2023/e.jpg", *(f"photos/{p}" for p in PHOTOS if "fail" not in p)]
    ids = [*find_ids(shelf.store, ImageFilter())]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize(
    "wanted",
    [{"folder": Path("/x")}, {"name": "a"}, {"since": NEW_YEAR}, {"until": NEW_YEAR}],
)
def test_a_filter_that_restricts(wanted: dict[str, Any]) -> None:
    assert ImageFilter(**wanted)


def test_a_folder_means_its_subfolders_too_and_no_namesakes(shelf: Shelf) -> None:
    assert shelf.below("photos/2023") == ["photos/2023/b.jpg", "photos/2023/summer/C.JPG"]
    assert shelf.below("photos/2023/summer") == ["photos/2023/summer/C.JPG"]
    assert shelf.below("photos/2023/s") == []
    assert shelf.below("more/2023") == ["more/2023/e.jpg"]


def test_folders_at_and_above_the_roots(shelf: Shelf) -> None:
    everything = shelf.find(ImageFilter())
    assert shelf.below("more") == ["more/2023/e.jpg"]
    assert len(shelf.below("photos")) == len(everything) - 1
    assert shelf.below(".") == shelf.find(ImageFilter(folder=Path("/"))) == everything
    assert shelf.below("elsewhere") == shelf.below("phot") == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("c.jpg", ["photos/2023/summer/C.JPG"]),
        ("B.JPG", ["photos/2023/b.jpg"]),
        ("img", ["photos/IMG[1].jpg", "photos/img2.jpg"]),
        ("img[1]", ["photos/IMG[1].jpg"]),
        ("[", ["photos/IMG[1].jpg", "photos/x[!-].png"]),
        ("[!-]", ["photos/x[!-].png"]),
        ("]", ["photos/IMG[1].jpg", "photos/x[!-].png"]),
        ("STRASSE", ["photos/Straße.jpg"]),
        ("IMG?.jpg", ["photos/img2.jpg"]),
        ("*.png", ["photos/x[!-].png"]),
        ("?.JPG", ["more/2023/e.jpg", *LETTERS]),
        ("img[1]*", ["photos/IMG[1].jpg"]),
        ("2023", []),  # folders have no part in it
        ("photos/2023*", []),
    ],
)
def test_names(shelf: Shelf, name: str, expected: list[str]) -> None:
    assert shelf.find(ImageFilter(name=name)) == expected


@given(part=st.text("aAiImMgG[]!-.1sSß", max_size=4))
def test_without_wildcards_a_name_is_a_part_in_any_case(shelf: Shelf, part: str) -> None:
    expected = [
        path
        for path in shelf.find(ImageFilter())
        if part.casefold() in path.rpartition("/")[2].casefold()
    ]
    assert shelf.find(ImageFilter(name=part)) == expected


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2023-01-01", None, ["2023/b.jpg", "2023/summer/C.JPG"]),
        ("2023-01-02", None, ["2023/summer/C.JPG"]),
        (None, "2022-12-31", ["2023-old/d.jpg"]),
        (None, "2022-12-30", []),
        ("2022-12-31", "2023-01-01", ["2023-old/d.jpg", "2023/b.jpg"]),
        ("2023-07-09", "2023-07-09", ["2023/summer/C.JPG"]),
        ("1900-01-01", None, ["2023-old/d.jpg", "2023/b.jpg", "2023/summer/C.JPG"]),
        ("2023-02-01", "2023-01-01", []),
    ],
)
def test_days_are_inclusive_and_photos_without_a_date_pass_none(
    shelf: Shelf, since: str | None, until: str | None, expected: list[str]
) -> None:
    days = [dt.date.fromisoformat(day) if day else None for day in (since, until)]
    found = shelf.find(ImageFilter(since=days[0], until=days[1]))
    assert found == [f"photos/{path}" for path in expected]


def test_filters_go_together(shelf: Shelf) -> None:
    folder = shelf.folder / "photos" / "2023"
    wanted = ImageFilter(folder, "*.jpg", dt.date(2023, 1, 1), dt.date(2023, 6, 30))
    assert shelf.find(wanted) == ["photos/2023/b.jpg"]


def test_folders_of_good_images_and_those_above(shelf: Shelf) -> None:
    expected = ["more", "more/2023", "photos", "photos/2023", "photos/2023-old"]
    assert folders(shelf.store) == sorted(
        shelf.folder / name for name in [*expected, "photos/2023/summer"]
    )


def test_images_are_counted_with_those_in_subfolders(shelf: Shelf) -> None:
    counts = count_folders(shelf.store)
    below = {name: len(shelf.below(name)) for name in ("photos", "photos/2023", "more")}
    assert below["photos/2023"] == 2
    assert {name: counts[shelf.folder / name] for name in below} == below


def test_images_at_a_place(shelf: Shelf) -> None:
    def found(place: str) -> dict[str, bool]:
        by_id = images_at(shelf.store, shelf.folder / place)
        infos = shelf.store.image_infos(by_id)
        return {path_below(shelf.folder, infos[i].path): by_id[i] for i in by_id}

    assert found("photos/2023/b.jpg") == {"photos/2023/b.jpg": True}
    assert found("photos/2023") == {
        "photos/2023/b.jpg": True,
        "photos/2023/summer/C.JPG": True,
        "photos/2023/failed.jpg": False,
    }
    assert found("more") == {"more/2023/e.jpg": True}
    assert found("photos/2023/b") == found("elsewhere") == {}


def test_counts(shelf: Shelf) -> None:
    census = count_images(shelf.store)
    assert census.images == len(PHOTOS)  # one of them failed, and there is one in `more`
    assert census.failed == [(str(shelf.folder / "photos" / "2023" / "failed.jpg"), "is empty")]
    assert (census.first, census.last) == (DATES["2023-old/d.jpg"], DATES["2023/summer/C.JPG"])
    assert list(census.years.items()) == [(2022, 1), (2023, 2)]
    assert list(census.cameras.items()) == [("Pinhole", 2), ("Obscura", 1)]
    assert census.undated == census.images - 3


def test_an_empty_store(tmp_path: Path) -> None:
    store = Store.create(tmp_path / ".cbir", colour_spec())
    assert len(find_ids(store, ImageFilter())) == 0
    assert folders(store) == []
    census = count_images(store)
    assert (census.images, census.undated, census.failed) == (0, 0, [])
    assert (census.first, census.last, census.years, census.cameras) == (None, None, {}, {})
    store.close()
