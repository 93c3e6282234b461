"""The benchmarks' own files, made by hand, and what is right for each query of them."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.errors import CbirError, InvalidLabelsError
from indexer.features.regions import Region
from retrieval.evaluation.benchmark_sets import read_benchmark
from tests.benchmark_files import read_one, right, touch, write

# --- Oxford5k and Paris6k --------------------------------------------------------------------

OXFORD = {
    "all_souls_1_query.txt": "oxc1_all_souls_000013 -0.5 34.1 648.5 955.7\n",
    "all_souls_1_good.txt": "all_souls_000013\nall_souls_000026\n",
    "all_souls_1_ok.txt": "oxford_002985\n",
    "all_souls_1_junk.txt": "\nall_souls_000051\n",
    "ashmolean_1_query.txt": "oxc1_ashmolean_000058 1 2 3 4",
    "ashmolean_1_good.txt": "",
    "ashmolean_1_ok.txt": "ashmolean_000000\r\n",
    "ashmolean_1_junk.txt": "",
}
OXFORD_IMAGES = [
    *("all_souls_000013.jpg", "all_souls_000026.jpg", "all_souls_000051.jpg"),
    *("ashmolean_000000.jpg", "ashmolean_000058.jpg", "oxford_002985.jpg"),
]


def test_oxford(tmp_path: Path) -> None:
    manifest = read_one(touch(write(tmp_path / "gt", OXFORD), *(f"jpg/{n}" for n in OXFORD_IMAGES)))
    assert (manifest.name, manifest.folder) == ("gt", tmp_path / "gt" / "jpg")
    assert manifest.database == OXFORD_IMAGES
    first, second = manifest.queries
    assert (first.id, first.image) == ("all_souls_1", manifest.folder / "all_souls_000013.jpg")
    assert (first.box, manifest.clips_boxes) == (Region(0, 34, 649, 956), True)
    assert right(first) == (
        "all_souls_000013.jpg all_souls_000026.jpg oxford_002985.jpg",
        "all_souls_000051.jpg",
    )
    assert (second.box, right(second)) == (Region(1, 2, 3, 4), ("ashmolean_000000.jpg", ""))


def test_paris_in_subfolders_elsewhere(tmp_path: Path) -> None:
    files = {
        "defense_1_query.txt": "paris_defense_000605 0.0 0.0 10.0 20.0",
        "defense_1_good.txt": "paris_general_000001",
        "defense_1_ok.txt": "",
        "defense_1_junk.txt": "",
    }
    place = write(tmp_path / "paris_gt", files)
    pictures = touch(
        tmp_path / "p", "defense/paris_defense_000605.jpg", "general/paris_general_000001.jpg"
    )
    with pytest.raises(InvalidLabelsError, match="--images FOLDER"):
        read_one(place)
    [query] = read_one(place, pictures).queries
    assert query.image == pictures / "defense" / "paris_defense_000605.jpg"
    assert right(query) == ("general/paris_general_000001.jpg", "")
    touch(pictures, "other/paris_general_000001.jpg")
    with pytest.raises(InvalidLabelsError, match="two images paris_general_000001"):
        read_one(place, pictures)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("all_souls_1_query.txt", "", r"query.txt, line 1.*0 words"),
        ("all_souls_1_query.txt", "oxc1_all_souls_000013 1 2 x 4", r"line 1.*float"),
        ("all_souls_1_query.txt", "oxc1_all_souls_000013 1 2 nan 4", r"line 1: The box"),
        ("all_souls_1_query.txt", "oxc1_all_souls_000013 5 5 5 5", r"line 1: The box 5,5,5,5"),
        ("ashmolean_1_query.txt", "oxc1_nowhere 1 2 3 4", r"line 1: .* has no image nowhere"),
        ("all_souls_1_ok.txt", "oxford_002985\nlost\n", r"ok.txt, line 2: .* no image 'lost'"),
    ],
)
def test_ground_truth_that_is_not_valid(tmp_path: Path, name: str, text: str, told: str) -> None:
    place = touch(write(tmp_path, OXFORD | {name: text}), *(f"jpg/{n}" for n in OXFORD_IMAGES))
    with pytest.raises(InvalidLabelsError, match=told):
        read_one(place, place / "jpg")


def test_ground_truth_that_cannot_be_read(tmp_path: Path) -> None:
    place = touch(write(tmp_path, OXFORD), *(f"jpg/{n}" for n in OXFORD_IMAGES))
    (place / "all_souls_1_junk.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidLabelsError, match=r"junk\.txt is not a text file"):
        read_one(place)
    (place / "all_souls_1_junk.txt").unlink()
    with pytest.raises(InvalidLabelsError, match=r"junk\.txt cannot be read"):
        read_one(place)


# --- ROxford and RParis ----------------------------------------------------------------------

REVISITED: dict[str, Any] = {
    "imlist": ["a", "b", "c", "d", "e"],
    "qimlist": ["q1", "q2"],
    "gnd": [
        {"bbx": [1.5, 2, 30.2, 40.0], "easy": [0], "hard": [1, 2], "junk": [3]},
        {"bbx": [0, 0, 9, 9], "easy": [], "hard": [4], "junk": []},
    ],
}


def as_json(path: Path, data: Any) -> None:
    path.write_text(json.dumps(data), "utf-8")


def as_pickle(path: Path, data: Any) -> None:
    path.write_bytes(pickle.dumps(data, 2))


@pytest.mark.parametrize(
    ("name", "dump"), [("gnd_roxford5k.json", as_json), ("gnd_roxford5k.pkl", as_pickle)]
)
def test_revisited(tmp_path: Path, name: str, dump: Callable[[Path, Any], None]) -> None:
    dump(tmp_path / name, REVISITED)
    touch(tmp_path, "jpg/a.jpg")
    for place in (tmp_path / name, tmp_path):
        manifests = read_benchmark(place)
        assert [m.protocol for m in manifests] == ["easy", "medium", "hard"]
    easy, medium, hard = manifests
    assert {m.name for m in manifests} == {"roxford5k"}
    assert medium.database == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    assert [right(q) for q in easy.queries] == [
        ("a.jpg", "b.jpg c.jpg d.jpg"),
        ("", "e.jpg"),
    ]
    assert [right(q) for q in medium.queries] == [("a.jpg b.jpg c.jpg", "d.jpg"), ("e.jpg", "")]
    assert [right(q) for q in hard.queries] == [("b.jpg c.jpg", "a.jpg d.jpg"), ("e.jpg", "")]
    query = medium.queries[0]
    assert (query.id, query.image) == ("q1", tmp_path / "jpg" / "q1.jpg")
    assert (query.box, medium.clips_boxes) == (Region(1, 2, 31, 40), True)
    assert [m.protocol for m in read_benchmark(tmp_path, protocols=["hard"])] == ["hard"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.pop("qimlist"), "qimlist must be a list"),
        (lambda d: d["imlist"].append(7), r"imlist\[5\] must be a str"),
        (lambda d: d["qimlist"].pop(), "qimlist has 1 queries and gnd 2"),
        (lambda d: d["qimlist"].__setitem__(1, "q1"), "occurs twice"),
        (lambda d: d["gnd"].__setitem__(0, []), r"gnd\[0\] must be a dict"),
        (lambda d: d["gnd"][1].pop("hard"), r"gnd\[1\]\.hard must be a list"),
        (lambda d: d["gnd"][0]["easy"].append(5), r"gnd\[0\]\.easy\[1\] .* from 0 to 4"),
        (lambda d: d["gnd"][0]["easy"].append(-1), r"gnd\[0\]\.easy\[1\]"),
        (lambda d: d["gnd"][0]["junk"].append(True), r"gnd\[0\]\.junk\[1\]"),
        (lambda d: d["gnd"][0].pop("bbx"), r"gnd\[0\]\.bbx must be four numbers"),
        (lambda d: d["gnd"][0]["bbx"].pop(), r"gnd\[0\]\.bbx: .* four numbers"),
        (lambda d: d["gnd"][0]["bbx"].__setitem__(0, 99), r"gnd\[0\]\.bbx: .*X0 < X1"),
    ],
)
@pytest.mark.parametrize("dump", [as_json, as_pickle])
def test_revisited_that_is_not_valid(
    tmp_path: Path, change: Callable[[Any], Any], told: str, dump: Callable[[Path, Any], None]
) -> None:
    data = json.loads(json.dumps(REVISITED))
    change(data)
    touch(tmp_path, "jpg/a.jpg")
    path = tmp_path / ("gnd.json" if dump is as_json else "gnd.pkl")
    dump(path, data)
    with pytest.raises(InvalidLabelsError, match=told):
        read_benchmark(path)


def test_a_pickle_with_arrays_names_the_way_out(tmp_path: Path) -> None:
    data = REVISITED | {"gnd": [{"easy": np.arange(2)}]}
    as_pickle(tmp_path / "gnd_rparis6k.pkl", data)
    with pytest.raises(InvalidLabelsError, match=r"opcode GLOBAL .*Convert it to JSON"):
        read_benchmark(tmp_path / "gnd_rparis6k.pkl")
    as_pickle(tmp_path / "gnd_rparis6k.pkl", [1])
    with pytest.raises(InvalidLabelsError, match="is not a dict"):
        read_benchmark(tmp_path / "gnd_rparis6k.pkl")


def test_two_revisited_benchmarks_in_a_folder(tmp_path: Path) -> None:
    touch(tmp_path, "gnd_roxford5k.pkl", "gnd_rparis6k.pkl")
    with pytest.raises(InvalidLabelsError, match="several benchmarks"):
        read_benchmark(tmp_path)


# --- what a collection is --------------------------------------------------------------------


def test_a_manifest_whose_images_are_elsewhere(tmp_path: Path) -> None:
    data = {"name": "m", "images": "images", "database": ["a.jpg"], "queries": []}
    as_json(tmp_path / "manifest.json", data)
    assert read_one(tmp_path).folder == tmp_path / "images"
    assert read_one(tmp_path / "manifest.json", tmp_path / "x").folder == tmp_path / "x"


@pytest.mark.parametrize("name", ["nothing", "empty", "notes.txt"])
def test_what_is_no_collection(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("hello", "utf-8")
    with pytest.raises(CbirError, match=r"does not exist|no labelled collection"):
        read_benchmark(tmp_path / name)


def test_protocols_are_of_the_revisited_only(tmp_path: Path) -> None:
    touch(tmp_path, "ukbench00000.jpg")
    with pytest.raises(InvalidLabelsError, match="has no protocols"):
        read_benchmark(tmp_path, protocols=["hard"])


def test_a_folder_of_images_that_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "ukbench00000.jpg")
    with pytest.raises(InvalidLabelsError, match="not a folder of images"):
        read_benchmark(tmp_path, tmp_path / "nothing")
    (tmp_path / "other").mkdir()
    with pytest.raises(InvalidLabelsError, match="no images such as ukbench"):
        read_benchmark(tmp_path, tmp_path / "other")


# --- damaged files ---------------------------------------------------------------------------

CSV = "image,group,x0,y0,x1,y1\na.jpg,x,1,2,3.5,4\nb.jpg,x,,,,\n"
DAMAGED = {
    "all_souls_1_query.txt": OXFORD["all_souls_1_query.txt"],
    "all_souls_1_good.txt": OXFORD["all_souls_1_good.txt"],
    "gnd_roxford5k.json": json.dumps(REVISITED),
    "mine.csv": CSV,
    "holidays_images.dat": "100000.jpg\n100001.jpg\n",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_bytes_changed_by_chance_never_end_in_another_error(tmp_path: Path, name: str) -> None:
    is_oxford = name in OXFORD
    if is_oxford:
        write(tmp_path, OXFORD)
    touch(tmp_path, *(f"jpg/{n}" for n in [*OXFORD_IMAGES, "a.jpg", "100000.jpg"]))
    whole = DAMAGED[name].encode()
    outcomes = set()
    for seed in range(250):
        chance = random.Random(seed)
        data = bytearray(whole)
        for _ in range(chance.randint(0, 3)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        (tmp_path / name).write_bytes(data[: chance.choice((len(data), chance.randrange(90)))])
        try:
            read_benchmark(tmp_path if is_oxford else tmp_path / name)
            outcomes.add("read")
        except CbirError as error:
            outcomes.add("refused, and named" if str(tmp_path) in str(error) else str(error))
    assert outcomes == {"read", "refused, and named"}
