"""Collections of groups: a CSV file, INRIA Holidays, UKBench."""

from __future__ import annotations

from pathlib import Path

import pytest

from indexer.errors import InvalidLabelsError
from indexer.features.regions import Region
from tests.benchmark_files import read_one, right, touch


def test_csv_groups(tmp_path: Path) -> None:
    lines = ["image,group", "a.jpg,x", "b.jpg,x", "sub/../c d.jpg,x", "e.jpg,y", "f.jpg,"]
    file = tmp_path / "mine.csv"
    file.write_text("\ufeff" + "\n".join(lines), "utf-8")
    touch(tmp_path, "a.jpg")
    manifest = read_one(file)
    assert (manifest.name, manifest.folder) == ("mine", tmp_path)
    assert manifest.database == ["a.jpg", "b.jpg", "c d.jpg", "e.jpg", "f.jpg"]
    assert [(q.id, *right(q)) for q in manifest.queries] == [
        ("a.jpg", "b.jpg c d.jpg", "a.jpg"),
        ("b.jpg", "a.jpg c d.jpg", "b.jpg"),
        ("c d.jpg", "a.jpg b.jpg", "c d.jpg"),
    ]


def test_csv_groups_with_boxes(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text(
        "image,group,x0,y0,x1,y1\na.jpg,cup,0.5,1,9.1,8\nb.jpg,cup,,,,\nb.jpg,pen,1,1,2,2\n"
        "c.jpg,pen,3,3,4,4\nc.jpg,pen,5,5,6,6\n",
        "utf-8",
    )
    manifest = read_one(file, touch(tmp_path / "elsewhere", "a.jpg"))
    assert manifest.folder == tmp_path / "elsewhere"
    queries = {query.id: query for query in manifest.queries}
    assert list(queries) == ["a.jpg", "b.jpg#1", "b.jpg#2", "c.jpg#1", "c.jpg#2"]
    assert [q.box for q in queries.values()] == [
        *(Region(0, 1, 10, 8), None, Region(1, 1, 2, 2), Region(3, 3, 4, 4), Region(5, 5, 6, 6))
    ]
    assert right(queries["b.jpg#1"]) == ("a.jpg", "b.jpg")
    assert queries["b.jpg#1"].boxes == {"a.jpg": [Region(0, 1, 10, 8)]}
    assert queries["b.jpg#2"].boxes == {
        "b.jpg": [Region(1, 1, 2, 2)],
        "c.jpg": [Region(3, 3, 4, 4), Region(5, 5, 6, 6)],
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: the columns image and group"),
        ("image,label\na.jpg,x\n", "line 1: the columns image and group"),
        ("image,group\n", "lists no images"),
        ("image,group\na.jpg\n", "line 2 does not fit"),
        ("image,group\na.jpg,x\nb.jpg,x,7\n", "line 3 does not fit"),
        ("image,group\n,x\n", "line 2 does not fit"),
        ("image,group\n/etc/a.jpg,x\n", "line 2: /etc/a.jpg must be relative"),
        ("image,group\n../a.jpg,x\n", "line 2: ../a.jpg must be relative"),
        ("image,group,x0,y0,x1,y1\na.jpg,x,1,2,3,\n", "line 2: x0, y0, x1, y1 are not a box"),
        ("image,group,x0,y0,x1,y1\na.jpg,x,1,2,inf,4\n", "line 2: .* four numbers"),
        ("image,group,x0,y0,x1,y1\na.jpg,x,5,2,3,4\n", "line 2: .*X0 < X1"),
        ('image,group\n"a.jpg,x\n', "not a CSV file"),
        ("image,group\na\0.jpg,x\n", "line"),
    ],
)
def test_csv_that_is_not_valid(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "mine.csv"
    file.write_text(text, "utf-8")
    with pytest.raises(InvalidLabelsError, match=told):
        read_one(file, tmp_path)


HOLIDAYS = ["100000.jpg", "100001.jpg", "100002.jpg", "100100.jpg", "100101.jpg", "149900.jpg"]


@pytest.mark.parametrize("listed", [True, False])
def test_holidays(tmp_path: Path, listed: bool) -> None:
    touch(tmp_path, *(f"jpg/{name}" for name in HOLIDAYS), "jpg/notes.txt", "jpg/1.jpg")
    if listed:
        (tmp_path / "holidays_images.dat").write_text("\n".join(HOLIDAYS) + "\n", "utf-8")
    manifest = read_one(tmp_path)
    assert (manifest.database, manifest.folder) == (HOLIDAYS, tmp_path / "jpg")
    assert [(q.id, *right(q)) for q in manifest.queries] == [
        ("100000.jpg", "100001.jpg 100002.jpg", "100000.jpg"),
        ("100100.jpg", "100101.jpg", "100100.jpg"),
        ("149900.jpg", "", "149900.jpg"),
    ]


def test_a_list_of_holidays_that_is_not_valid(tmp_path: Path) -> None:
    file = tmp_path / "holidays_images.dat"
    file.write_text("100000.jpg\nnonsense\n", "utf-8")
    with pytest.raises(InvalidLabelsError, match=r"holidays_images\.dat, line 2: 'nonsense'"):
        read_one(file)
    file.write_text("\n", "utf-8")
    with pytest.raises(InvalidLabelsError, match="lists no images"):
        read_one(tmp_path)


def test_ukbench(tmp_path: Path) -> None:
    names = [f"ukbench{number:05d}.jpg" for number in range(8)]
    touch(tmp_path, *(f"full/{name}" for name in names))
    manifest = read_one(tmp_path)
    assert (manifest.name, manifest.database) == ("ukbench", names)
    assert [right(q) for q in manifest.queries] == [
        (" ".join(names[4 * (number // 4) :][:4]), "") for number in range(8)
    ]
