"""`--oversize reduce`: large pictures indexed, searched with and looked in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from typer.testing import Result

from indexer.features.regions import Region
from tests.pictures import noise, photo

Run = Callable[..., Result]
SIZE = (1200, 900)
PLACE = Region(450, 180, 930, 540)
LIMIT = ("--max-megapixels", 0.5)
REDUCE = (*LIMIT, "--oversize", "reduce")


@pytest.fixture
def scene(here: Path) -> Path:
    """A cat in noise, in a TIFF of tiles."""
    image = Image.fromarray(noise(3, *SIZE))
    image.paste(photo("chelsea").resize((480, 360)), PLACE.as_tuple())
    (here / "photos").mkdir()
    path = here / "photos" / "scene.tif"
    tifffile.imwrite(path, np.asarray(image), tile=(256, 256), compression="zlib")
    Image.fromarray(noise(4, 300, 200)).save(here / "photos" / "other.png")
    return path


@pytest.fixture
def cat(here: Path) -> Path:
    path = here / "cat.jpg"
    photo("chelsea").resize((1000, 750)).save(path, quality=95)
    return path


def test_a_large_picture_is_indexed_and_found_in_its_own_pixels(
    scene: Path, cat: Path, cbir: Run
) -> None:
    skipped = json.loads(cbir("index", "photos", *LIMIT, "--json").stdout)
    assert skipped["added"] == 1
    [failed] = skipped["failed"]
    assert "--oversize reduce reads it at a smaller size" in failed["reason"]
    done = json.loads(cbir("index", "photos", *REDUCE, "--json").stdout)
    assert (done["added"], done["failed"]) == (1, [])

    refused = cbir("query", cat, *LIMIT)
    assert refused.exit_code == 1
    assert "--oversize reduce" in refused.stderr
    asked = cbir("query", cat, "--search", "region", "--verify", *REDUCE, "--json")
    [first, _] = json.loads(asked.stdout)["hits"]
    assert first["path"].endswith("scene.tif")
    assert first["inliers"] > 20
    assert Region(*first["box"]).iou(PLACE) > 0.9

    boxed = cbir("query", scene, "--box", PLACE, *REDUCE, "--json")
    assert json.loads(boxed.stdout)["hits"][0]["path"].endswith("scene.tif")
    outside = cbir("query", scene, "--box", "0,0,1201,900", *REDUCE)
    assert outside.exit_code == 1
    assert "1200" in outside.stderr


def test_a_large_picture_is_looked_in(scene: Path, cat: Path, cbir: Run) -> None:
    assert cbir("index", "photos/other.png").exit_code == 0
    assert cbir("localize", cat, scene, *LIMIT).exit_code == 1
    found = json.loads(cbir("localize", cat, scene, *REDUCE, "--json").stdout)
    assert Region(*found["box"]).iou(PLACE) > 0.9
    corners = [(PLACE.x0, PLACE.y0), (PLACE.x1, PLACE.y0)]
    corners += [(PLACE.x1, PLACE.y1), (PLACE.x0, PLACE.y1)]
    np.testing.assert_allclose(found["quad"], corners, atol=12)
    area = (PLACE.x1 - PLACE.x0) * (PLACE.y1 - PLACE.y0)
    assert found["mask_pixels"] == pytest.approx(area, rel=0.1)
