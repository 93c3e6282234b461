"""The sliding scheme end to end on a classic network: one pass a window, fc7 of every window."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from indexer.features.extractor import ImageFeatures
from indexer.features.regions import Region
from indexer.store.statistics import summarize
from retrieval.engine import SearchEngine
from retrieval.query import Query
from tests.pictures import noise, photo
from ui.cli import app

PLACE = Region(160, 80, 320, 240)  # where a window of half the picture's side stands
QUERY = Region(4, 4, 156, 156)  # of the pasted patch, a little less than all of it


def make_photos(folder: Path) -> Image.Image:
    """Write four pictures, a face pasted into one of them, and return the face."""
    folder.mkdir()
    face = photo("astronaut").crop((140, 0, 340, 200)).resize((160, 160))
    for seed in range(4):
        image = Image.fromarray(noise(seed, 320, 320))
        if seed == 2:
            image.paste(face, PLACE.as_tuple())
        image.save(folder / f"{seed}.png")
    return face


def shared(one: Region, other: Region) -> float:
    """Return the intersection of two boxes over their union."""
    w = max(0, min(one.x1, other.x1) - max(one.x0, other.x0))
    h = max(0, min(one.y1, other.y1) - max(one.y0, other.y0))
    areas = [(r.x1 - r.x0) * (r.y1 - r.y0) for r in (one, other)]
    return w * h / (sum(areas) - w * h)


def test_a_pasted_object_is_found_by_vgg16(
    tmp_path: Path, with_random_weights: Callable[[str], None]
) -> None:
    with_random_weights("vgg16")
    face = make_photos(tmp_path / "photos")
    face.save(tmp_path / "face.png")
    options = ["--backbone", "vgg16", "--regions", "sliding", "--scales", "0.5", "--size", "160"]
    place = ["--store", str(tmp_path / ".cbir"), "--engine", "torch", "--json"]
    done = CliRunner().invoke(app, ["index", str(tmp_path / "photos"), *options, *place])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["added"], report["failed"], report["regions"]) == (4, [], 4 * (1 + 9))

    search = SearchEngine.open(tmp_path / ".cbir", engine="torch")
    assert [k.name for k in search.store.spec.kinds] == ["conv", "fc", "region", "region_fc"]
    summary = summarize(search.store)
    assert summary.vectors == {"conv": 4, "fc": 4, "region": 40, "region_fc": 40}
    assert summary.dimensions == {"conv": 512, "fc": 4096, "region": 512, "region_fc": 4096}
    for feature in ("conv", "fc"):
        for box in (None, QUERY):
            query = Query(
                path=tmp_path / "face.png",
                box=box,
                feature=feature,
                search="region",
            )
            hits = search.search(query)
            assert hits[0].path.name == "2.png", (feature, box)
            assert hits[0].score > hits[1].score
            assert hits[0].region is not None
            assert shared(hits[0].region, PLACE) > 0.5, (feature, box)
            assert len({hit.image_id for hit in hits}) == 4

    # The window that is the pasted face has the vector of the face itself.
    [seen] = search.collection.extractor.extract([face])
    assert isinstance(seen, ImageFeatures)
    index = search.collection.index(search.store.find_kind("fc", "region"))
    [match] = index.search_images(seen.vectors["fc"], 1)
    assert match.scores[0] == pytest.approx(1, abs=2e-3)
    found = search.store.regions(match.ids.tolist())
    assert list(found.values()) == [PLACE]
    search.store.close()
