"""`cbir localize`: where in one image the query is."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from indexer.features.regions import Region
from indexer.images.decode import load_image
from tests.pictures import noise
from tests.ui.conftest import Album

Run = Callable[..., Result]
SIZE = (400, 300)
PLACE = Region(150, 60, 310, 180)


@pytest.fixture(scope="module")
def scene(album: Album, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cat, pasted into noise at `PLACE`; not in the index."""
    image = Image.fromarray(noise(3, *SIZE))
    with Image.open(album.photos / "chelsea.jpg") as cat:
        image.paste(cat.resize((160, 120)), PLACE.as_tuple())
    path = tmp_path_factory.mktemp("localize") / "scene.png"
    image.save(path)
    return path


@pytest.fixture
def ask(album: Album, cbir: Run, scene: Path) -> Run:
    """Look for the cat in the scene."""
    asked = ("localize", "--store", album.store, album.photos / "chelsea.jpg", scene)
    return lambda *options: cbir(*asked, *options)


def check_error(done: Result, message: str) -> None:
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_an_answer_in_json(ask: Run, album: Album, scene: Path) -> None:
    done = ask("--json")
    assert (done.exit_code, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    names = {"query", "target", "box", "score", "quad", "inliers", "mirrored", "mask_pixels"}
    assert set(answer) == names | {"files", "inverted"}
    assert answer["query"] == {"path": str(album.photos / "chelsea.jpg"), "box": None}
    assert (answer["target"], answer["files"]) == (str(scene), {})
    assert Region(*answer["box"]).iou(PLACE) > 0.9
    assert answer["inliers"] > 20
    assert not answer["mirrored"]
    corners = [(PLACE.x0, PLACE.y0), (PLACE.x1, PLACE.y0)]
    corners += [(PLACE.x1, PLACE.y1), (PLACE.x0, PLACE.y1)]
    np.testing.assert_allclose(answer["quad"], corners, atol=4)
    assert 0 < answer["score"] <= 1
    assert 0 < answer["mask_pixels"] < 400 * 300


def test_an_answer_in_words(ask: Run) -> None:
    done = ask()
    assert (done.exit_code, done.stderr) == (0, "")
    pattern = r"box (\S+)  score (0\.\d{3})  proved by (\d+) points  mask (\d+) pixels\n"
    found = re.fullmatch(pattern, done.stdout)
    assert found is not None
    answer = json.loads(ask("--json").stdout)
    assert list(Region.parse(found[1]).as_tuple()) == answer["box"]
    assert float(found[2]) == pytest.approx(answer["score"], abs=1e-3)
    assert int(found[3]) == answer["inliers"]
    assert int(found[4]) == answer["mask_pixels"]


def test_pictures_of_the_answer(ask: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    answer = json.loads(ask("--json", "--out", folder).stdout)
    names = ["box", "heat", "mask", "overlay", "matches"]
    assert answer["files"] == {name: str(folder / f"{name}.png") for name in names}
    assert sorted(path.stem for path in folder.iterdir()) == sorted(names)
    pictures = {name: load_image(path).image for name, path in answer["files"].items()}
    for name in names[:3]:
        assert pictures[name].size == SIZE
    assert pictures["overlay"].size == (3 * SIZE[0] + 16, SIZE[1])
    mask = np.asarray(pictures["mask"])[:, :, 0]
    assert (mask == 255).sum() == answer["mask_pixels"]
    assert set(np.unique(mask)) == {0, 255}


def test_pictures_are_named_in_words_and_written_again(ask: Run, tmp_path: Path) -> None:
    for _ in range(2):
        done = ask("--out", tmp_path)
        assert done.exit_code == 0
        wrote = done.stdout.splitlines()[1:]
        assert wrote == [
            f"wrote {tmp_path / name}.png" for name in ("box", "heat", "mask", "overlay", "matches")
        ]


def test_without_verifying_the_network_finds_the_box(ask: Run, tmp_path: Path) -> None:
    done = ask("--no-verify", "--out", tmp_path)
    assert done.exit_code == 0
    assert "  not proved  " in done.stdout
    answer = json.loads(ask("--no-verify", "--json").stdout)
    assert (answer["quad"], answer["inliers"], answer["mirrored"]) == (None, None, False)
    assert Region(*answer["box"]).iou(PLACE) > 0.5


def test_the_lines_between_query_and_image(ask: Run, tmp_path: Path) -> None:
    def green(*options: str) -> int:
        assert ask("--out", tmp_path, *options).exit_code == 0
        pixels = np.asarray(load_image(tmp_path / "matches.png").image, int)
        return int((np.abs(pixels - [0, 179, 65]).sum(axis=2) < 40).sum())

    proved = green()
    assert proved > 5 * green("--no-verify")


def test_a_box_of_the_query(album: Album, cbir: Run, scene: Path) -> None:
    place = ("localize", "--store", album.store, scene, album.photos / "chelsea.jpg", "--json")
    done = cbir(*place, "--box", PLACE, "--context", 0.1)
    assert (done.exit_code, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["query"]["box"] == list(PLACE.as_tuple())
    Region(*answer["box"]).require_inside(320, 240)


def test_a_box_outside_the_query(ask: Run) -> None:
    check_error(ask("--box", "0,0,9999,10"), "0,0,9999,10 does not lie inside the image")


@pytest.mark.parametrize("box", ["1,2,3", "9,9,4,4", "a,b,c,d"])
def test_a_box_that_is_none(ask: Run, box: str) -> None:
    check_error(ask("--box", box), box)


def test_a_folder_that_cannot_be_written(ask: Run, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file is in the way", "utf-8")
    for out in (tmp_path / "taken", tmp_path / "taken" / "below"):
        check_error(ask("--out", out), "cannot be written")


def test_a_picture_that_cannot_be_written(ask: Run, tmp_path: Path) -> None:
    (tmp_path / "mask.png").mkdir()
    check_error(ask("--out", tmp_path), f"{tmp_path / 'mask.png'} cannot be written")


def test_no_store(cbir: Run, album: Album, scene: Path, here: Path) -> None:
    asked = ("localize", album.photos / "chelsea.jpg", scene)
    check_error(cbir(*asked), "cbir index")
    check_error(cbir(*asked, "--store", here / "none"), f"no store at {here / 'none'}")


def test_images_that_cannot_be_read(cbir: Run, album: Album, scene: Path, tmp_path: Path) -> None:
    bad = album.photos / "shopping list.jpg"
    for query, target, named in (
        (bad, scene, bad),
        (scene, bad, bad),
        (scene, tmp_path / "gone.jpg", "gone.jpg"),
    ):
        check_error(cbir("localize", "--store", album.store, query, target), str(named))


def test_a_store_without_regions(cbir: Run, album: Album, scene: Path, tmp_path: Path) -> None:
    store = tmp_path / ".cbir"
    assert cbir("index", scene, "--store", store, "--regions", "none").exit_code == 0
    done = cbir("localize", "--store", store, album.photos / "chelsea.jpg", scene)
    check_error(done, "--rebuild --regions grid")
