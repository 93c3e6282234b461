"""Subjects are found in the scenes that hold them, and where they stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from indexer.errors import InvalidQueryError, InvalidRegionError, StoreError
from indexer.features.regions import Region
from indexer.sources.place import as_path
from indexer.store.statistics import summarize
from indexer.store.store import Store
from retrieval.describe import QueryVectors, describe_queries
from retrieval.engine import SearchEngine
from retrieval.query import Hit, Query
from tests.colour_grid import colour_extractor, region_spec
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, RED, Colour, plain
from tests.sample import (
    MANIFEST,
    SCENES,
    SUBJECTS,
    Sample,
    holding,
    is_centred_in,
    subject_queries,
)
from ui.cli import app


def scenes_in(hits: list[Hit]) -> list[str]:
    return [hit.path.name for hit in hits if hit.path.name in SCENES]


# --- with the real network ---------------------------------------------------------------------


def test_scenes_with_the_cat_come_before_scenes_without(sample: Sample) -> None:
    query = Query(path=sample.path("cat-1.jpg"), search="region", k=None)
    found = scenes_in(sample.search.search(query))
    assert len(found) == len(SCENES)
    assert set(found[: len(holding("cat"))]) == holding("cat")


def ask_with_box(sample: Sample, scene: str, subject: str, **options: Any) -> list[Hit]:
    box = SCENES[scene][subject]
    asked = Query(path=sample.path(scene), box=box, search="region", k=None, **options)
    return sample.search.search(asked)


def test_before_an_indexed_image_come_only_others_of_what_is_in_its_box(sample: Sample) -> None:
    for scene, subject in subject_queries():
        names = [hit.path.name for hit in ask_with_box(sample, scene, subject)]
        before = names[: names.index(scene)]
        # The photos that the scene was made from show the subject better than the scene does.
        assert len(before) <= 2
        assert all(name.startswith(subject) or name in holding(subject) for name in before)


@pytest.mark.parametrize(("scene", "subject"), subject_queries())
def test_only_pictures_of_the_subject_come_before_the_image_itself(
    sample: Sample, scene: str, subject: str
) -> None:
    hits = ask_with_box(sample, scene, subject)
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    assert len({hit.image_id for hit in hits}) == len(hits) == summarize(sample.store).images
    names = [hit.path.name for hit in hits]
    before = set(names[: names.index(scene)])
    assert before <= holding(subject) | set(MANIFEST["groups"][subject])


@pytest.mark.parametrize("subject", [s for s in SUBJECTS if len(holding(s)) > 1])
def test_a_box_finds_its_subject_in_the_other_scenes(sample: Sample, subject: str) -> None:
    for scene in holding(subject):
        found = scenes_in(ask_with_box(sample, scene, subject))
        assert set(found[: len(holding(subject))]) == holding(subject), scene


def test_the_box_of_a_hit_lies_where_the_subject_is(sample: Sample) -> None:
    hits_at = []
    for scene, subject in subject_queries():
        for hit in ask_with_box(sample, scene, subject):
            if hit.path.name in holding(subject):
                box = SCENES[hit.path.name][subject]
                hits_at.append(is_centred_in(hit.region, box))
    assert len(hits_at) > 20
    assert sum(hits_at) / len(hits_at) > 0.8


def test_every_hit_has_a_box_inside_its_image(sample: Sample) -> None:
    hits = sample.search.search(Query(path=sample.path("clock-2.jpg"), search="region", k=None))
    for hit in hits:
        assert hit.region is not None
        hit.region.require_inside(*sample.size(hit.path.name))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(-1 <= hit.score <= 1 for hit in hits)


def test_a_whole_picture_finds_its_own_group_first(sample: Sample) -> None:
    for subject in ("coffee", "rocket", "retina"):
        query = Query(path=sample.path(f"{subject}-1.jpg"), search="region", k=5)
        names = {hit.path.name for hit in sample.search.search(query)}
        assert len(names & set(MANIFEST["groups"][subject])) >= 4, subject


@pytest.mark.parametrize("k", [1, 7, None])
def test_a_whole_picture_scores_by_its_best_region_and_as_a_whole(
    sample: Sample, k: int | None
) -> None:
    query = Query(path=sample.path("scene-cat-and-cup.jpg"), search="region", k=k)
    collection = sample.search.collection
    [vectors] = describe_queries(collection, [query])
    assert isinstance(vectors, QueryVectors)
    assert vectors.whole is not None
    expected = {}
    for info in sample.store.image_infos(range(1, 500)).values():
        _, regions = collection.index(collection.region_kind).rows_of_image(info.id)
        whole_kind = sample.store.find_kind("conv", "image")
        _, whole = collection.index(whole_kind).rows_of_image(info.id)
        best = float((regions @ vectors.own[0]).max())
        expected[info.id] = (best + float(whole[0] @ vectors.whole[0])) / 2
    hits = sample.search.search(query)
    assert len(hits) == (k or len(expected))
    assert [hit.score for hit in hits] == pytest.approx(
        sorted(expected.values(), reverse=True)[:k], abs=1e-5
    )
    assert [hit.score for hit in hits] == pytest.approx(
        [expected[hit.image_id] for hit in hits], abs=1e-5
    )


def test_an_image_of_the_store_and_its_file_give_the_same_hits(sample: Sample) -> None:
    info = sample.store.find_image(sample.path("cat-1.jpg"))
    assert info is not None
    for box in (None, Region(20, 20, 220, 220)):
        by_path = Query(path=info.path, box=box, search="region", k=7)
        by_id = Query(image_id=info.id, box=box, search="region", k=7)
        by_bytes = Query(data=as_path(info.path).read_bytes(), box=box, search="region", k=7)
        expected = sample.search.search(by_path)
        assert len(expected) == 7
        assert sample.search.search(by_id) == sample.search.search(by_bytes) == expected


def test_only_allowed_images_are_hits(sample: Sample) -> None:
    allowed = frozenset(sorted(k.id for k in sample.store.known_files().values())[10:14])
    query = Query(path=sample.path("cat-1.jpg"), search="region", k=10, allowed=allowed)
    assert {hit.image_id for hit in sample.search.search(query)} == allowed
    none = Query(path=sample.path("cat-1.jpg"), search="region", allowed=frozenset())
    assert sample.search.search(none) == []


def test_context_widens_the_box(sample: Sample) -> None:
    box = Region(100, 100, 200, 180)
    tight, wide, same = (
        sample.search.search(Query(path=sample.path("cat-1.jpg"), search="region", k=5, **asked))
        for asked in (
            {"box": box},
            {"box": box, "context": 0.5},
            {"box": Region(50, 60, 250, 220)},
        )
    )
    assert wide == same != tight


def test_a_box_outside_the_image(sample: Sample) -> None:
    box = Region(0, 0, 9999, 10)
    with pytest.raises(InvalidRegionError, match="9999"):
        sample.search.search(Query(path=sample.path("cat-1.jpg"), box=box, search="region"))


def test_a_box_of_one_pixel(sample: Sample) -> None:
    query = Query(path=sample.path("cat-1.jpg"), box=Region(9, 9, 10, 10), search="region", k=3)
    assert len(sample.search.search(query)) == 3


# --- through the command line ------------------------------------------------------------------


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_a_box_on_the_command_line_means_a_region_search(sample: Sample) -> None:
    scene, box = "scene-cat-on-grass.jpg", SCENES["scene-cat-on-grass.jpg"]["cat"]
    place = ("query", sample.path(scene), "--store", sample.store.path, "--json")
    done = run(*place, "--box", box, "-k", 0)
    assert (done.exit_code, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert (answer["search"], answer["query"]["box"]) == ("region", list(box.as_tuple()))
    for hit in answer["hits"]:
        assert all(isinstance(value, int) for value in hit["box"])
        Region(*hit["box"]).require_inside(*sample.size(Path(hit["path"]).name))
    scenes = [name for hit in answer["hits"] if (name := Path(hit["path"]).name) in SCENES]
    assert set(scenes[: len(holding("cat"))]) == holding("cat")
    [found] = [hit["box"] for hit in answer["hits"] if Path(hit["path"]).name == scene]
    assert is_centred_in(Region(*found), box)


def test_a_search_by_name_on_the_command_line(sample: Sample) -> None:
    place = ("query", sample.path("cat-1.jpg"), "--store", sample.store.path, "--json")
    by_region, by_image, boxed = (
        json.loads(run(*place, *options).stdout)
        for options in (
            ["--search", "region"],
            [],
            ["--box", "10,10,99,99", "--search", "image"],
        )
    )
    assert (by_region["search"], by_image["search"]) == ("region", "image")
    assert boxed["search"] == "image"
    assert all(len(hit["box"]) == 4 for hit in by_region["hits"])
    assert all(hit["box"] is None for hit in by_image["hits"] + boxed["hits"])


def test_a_box_for_fc_features_of_a_grid_is_compared_with_images(sample: Sample) -> None:
    place = ("query", sample.path("cat-1.jpg"), "--store", sample.store.path, "--json")
    done = run(*place, "--box", "10,10,199,199", "--feature", "fc")
    assert json.loads(done.stdout)["search"] == "image"
    refused = run(*place, "--box", "10,10,199,199", "--feature", "fc", "--search", "region")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "--regions sliding" in refused.stderr


# --- with the colour grid ----------------------------------------------------------------------


def halves(path: Path, left: Colour, right: Colour, size: tuple[int, int] = (80, 80)) -> Path:
    image = Image.new("RGB", size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    image.save(path)
    return path


def make_desk(folder: Path, scheme: str) -> Desk:
    (folder / "photos").mkdir()
    desk = Desk(folder / "photos", Store.create(folder / ".cbir", region_spec(scheme)))
    halves(desk.photos / "red-blue.png", RED, BLUE)
    halves(desk.photos / "green-red.png", GREEN, RED)
    plain(desk.photos / "green.png", GREEN)
    desk.index()
    return desk


def test_a_store_without_regions_says_how_to_get_them(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, "none")
    search = SearchEngine(desk.store, extractor=colour_extractor(spec=desk.store.spec))
    query = Query(path=desk.photos / "green.png", search="region")
    with pytest.raises(StoreError, match=r"no conv vectors of regions.*--rebuild --regions grid"):
        search.search(query)
    desk.store.close()
    asked = ("query", desk.photos / "green.png", "--store", desk.store.path)
    done = run(*asked, "--search", "region", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "--rebuild --regions grid" in done.stderr


@pytest.mark.parametrize("scheme", ["none", "grid"])
def test_fc_features_of_regions_need_the_sliding_scheme(tmp_path: Path, scheme: str) -> None:
    desk = make_desk(tmp_path, scheme)
    search = SearchEngine(desk.store, extractor=colour_extractor(spec=desk.store.spec))
    query = Query(path=desk.photos / "green.png", feature="fc", search="region")
    with pytest.raises(StoreError, match=r"no fc vectors of regions.*--rebuild --regions sliding"):
        search.search(query)
    desk.store.close()


def test_fc_features_of_sliding_windows_find_a_part(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, "sliding")
    search = SearchEngine(desk.store, extractor=colour_extractor(spec=desk.store.spec))
    query = Query(
        path=desk.photos / "red-blue.png", box=Region(40, 0, 80, 80), feature="fc", search="region"
    )
    hits = search.search(query)
    assert hits[0].path.name == "red-blue.png"
    assert hits[0].score > 0.999
    assert hits[0].region is not None
    assert hits[0].region.x0 >= 40
    assert hits[1].score < 0.99
    desk.store.close()


@pytest.mark.parametrize("scheme", ["grid", "sliding"])
def test_a_part_is_found_where_it_is(tmp_path: Path, scheme: str) -> None:
    desk = make_desk(tmp_path, scheme)
    search = SearchEngine(desk.store, extractor=colour_extractor(spec=desk.store.spec))
    red = plain(tmp_path / "red.png", RED, (60, 60))
    box = Region(0, 0, 60, 60)
    first, second, last = search.search(Query(path=red, box=box, search="region"))
    assert {first.path.name, second.path.name} == {"red-blue.png", "green-red.png"}
    assert last.path.name == "green.png"
    for hit in (first, second):
        assert hit.score > 0.999
        assert hit.region is not None
        red_half = (0, 40) if hit.path.name == "red-blue.png" else (40, 80)
        assert is_centred_in(hit.region, Region(red_half[0], 0, red_half[1], 80))
    desk.store.close()


def test_a_whole_picture_counts_as_a_whole_too(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, "grid")
    plain(desk.photos / "red.png", RED)
    desk.index()
    search = SearchEngine(desk.store, extractor=colour_extractor(spec=desk.store.spec))
    red = plain(tmp_path / "asked.png", RED, (60, 60))
    hits = search.search(Query(path=red, search="region"))
    assert hits[0].path.name == "red.png"
    assert hits[1].score < hits[0].score
    desk.store.close()


def test_removed_images_are_no_hits(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, "grid")
    search = SearchEngine(desk.store, extractor=colour_extractor(spec=desk.store.spec))
    query = Query(path=desk.photos / "green.png", search="region", k=None)
    assert len(search.search(query)) == 3
    desk.store.remove([desk.id_of("green-red.png")])
    hits = search.search(query)
    assert {hit.path.name for hit in hits} == {"red-blue.png", "green.png"}
    assert [hit.rank for hit in hits] == [1, 2]
    desk.store.close()


@pytest.mark.parametrize(
    "options",
    [
        {"search": "part"},
        {"context": -0.1},
        {"context": 10.5},
        {"context": float("nan")},
        {"candidates": 0},
        {"rerank": True},
        {"rerank": True, "search": "region", "feature": "fc"},
    ],
)
def test_impossible_queries(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidQueryError):
        Query(path=Path("cat.jpg"), **options)
