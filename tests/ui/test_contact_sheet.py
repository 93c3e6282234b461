from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.query import Hit, Query
from tests.pictures import BLUE, GREEN, RED, plain
from ui.contact_sheet import CELL_PX, GAP_PX, SHOWN_HITS, write_contact_sheet


def hits_of(*paths: Path) -> list[Hit]:
    return [Hit(i, i, path, 1 - i / 1000) for i, path in enumerate(paths, 1)]


def has_colour(image: Image.Image, colour: tuple[int, int, int]) -> bool:
    return bool((np.asarray(image.convert("RGB")) == colour).all(axis=2).any())


def test_the_query_comes_first_and_the_hits_follow_in_order(tmp_path: Path) -> None:
    red, green, blue = (
        plain(tmp_path / f"{name}.png", colour, (300, 300))
        for name, colour in (("red", RED), ("green", GREEN), ("blue", BLUE))
    )
    write_contact_sheet(tmp_path / "sheet.png", Query(path=red), hits_of(green, blue))
    sheet = Image.open(tmp_path / "sheet.png")
    centres = [GAP_PX + i * (CELL_PX + GAP_PX) + CELL_PX // 2 for i in range(3)]
    seen = [sheet.getpixel((x, GAP_PX + CELL_PX // 2)) for x in centres]
    assert seen == [RED, GREEN, BLUE]


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "png", "webp"])
def test_the_suffix_chooses_the_format(tmp_path: Path, suffix: str) -> None:
    path = plain(tmp_path / "a.png", RED)
    target = tmp_path / "new" / "folder" / f"sheet.{suffix}"
    write_contact_sheet(target, Query(path=path), hits_of(path))
    with Image.open(target) as sheet:
        assert sheet.format == {"jpg": "JPEG", "jpeg": "JPEG"}.get(suffix, suffix.upper())


def test_no_hits_and_many_hits(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.png", RED)
    write_contact_sheet(tmp_path / "none.png", Query(path=path), [])
    write_contact_sheet(tmp_path / "all.png", Query(path=path), hits_of(*[path] * 100))
    rows = -(-(SHOWN_HITS + 1) // 6)
    with Image.open(tmp_path / "none.png") as none, Image.open(tmp_path / "all.png") as full:
        assert none.width < 2 * CELL_PX
        assert rows * CELL_PX < full.height < (rows + 1) * (CELL_PX + 60)


def test_hits_that_are_gone_and_names_that_cannot_be_drawn(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.png", RED)
    odd = [
        tmp_path / "gone.png",
        tmp_path / ("long " * 40),
        tmp_path / os.fsdecode(b"\xff\x07.png"),
    ]
    write_contact_sheet(tmp_path / "sheet.png", Query(data=path.read_bytes()), hits_of(*odd))
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert has_colour(sheet, RED)
