"""The order in which all images are looked through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from indexer.store.ordering import newest_first, shapes_of
from tests.desk import Desk
from tests.pictures import RED, coloured, plain


def dated(path: Path, taken: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.DateTime] = taken
    path.parent.mkdir(exist_ok=True)
    coloured(RED).save(path, exif=exif)


def test_the_newest_come_first_and_those_without_a_date_last(desk: Desk) -> None:
    dated(desk.photos / "a.jpg", "2019:05:31 12:00:00")
    dated(desk.photos / "b.jpg", "2021:01:01 00:00:00")
    dated(desk.photos / "trip" / "c.jpg", "2019:05:31 12:00:01")
    dated(desk.photos / "B.jpg", "2021:01:01 00:00:00")
    plain(desk.photos / "z.png", RED)
    plain(desk.photos / "trip" / "y.png", RED)
    (desk.photos / "broken.jpg").write_text("milk, bread", "utf-8")
    desk.index()
    wanted = ["B.jpg", "b.jpg", "trip/c.jpg", "a.jpg", "trip/y.png", "z.png"]
    assert newest_first(desk.store).tolist() == [desk.id_of(name) for name in wanted]


def test_of_nothing_there_is_no_order(desk: Desk) -> None:
    assert newest_first(desk.store).tolist() == []


def test_shapes_are_those_of_the_images_in_their_order(desk: Desk) -> None:
    for name, size in (("wide.png", (400, 100)), ("high.png", (100, 200)), ("even.png", (90, 90))):
        plain(desk.photos / name, RED, size)
    desk.index()
    ids = [desk.id_of(name) for name in ("high.png", "wide.png", "even.png")]
    asked = np.array([ids[1], 999, ids[0], ids[2]], np.int64)
    assert shapes_of(desk.store, asked).tolist() == [4, 1, 0.5, 1]
    assert shapes_of(desk.store, asked[:0]).tolist() == []
