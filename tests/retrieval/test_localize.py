"""The query is found in one image: its box, what speaks for it, and its mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from indexer.adapt import adapt_store
from indexer.errors import StoreError
from indexer.features.extractor import FeatureExtractor
from indexer.features.regions import Region
from indexer.images.decode import load_image
from indexer.store.store import Store
from retrieval.boxes import MIN_SIDE_PX, perturb
from retrieval.engine import SearchEngine
from retrieval.localize import STEPS, Localization, localize
from retrieval.query import Query
from tests.desk import Desk, noisy_desk
from tests.pictures import BLUE, GREEN, RED, noise, plain
from tests.sample import SAMPLE, SCENES, is_centred_in, subject_queries

IMAGES = SAMPLE / "images"
Finds = dict[tuple[str, str], Localization]


@pytest.fixture(scope="module")
def search(
    tmp_path_factory: pytest.TempPathFactory, lite0: FeatureExtractor
) -> Iterator[SearchEngine]:
    """A search on an empty store: what is looked in need not be indexed."""
    store = Store.create(tmp_path_factory.mktemp("localize") / ".cbir", lite0.spec)
    yield SearchEngine(store, extractor=lite0)
    store.close()


@pytest.fixture(scope="module")
def finds(search: SearchEngine) -> Finds:
    """Every subject in every scene that holds it."""
    return {asked: find(search, *asked) for asked in subject_queries()}


def find(search: SearchEngine, scene: str, subject: str) -> Localization:
    query = Query(path=IMAGES / f"{subject}-1.jpg", search="region")
    return localize(search.collection, query, load_image(IMAGES / scene).image)


def check(found: Localization, size: tuple[int, int]) -> None:
    """What holds of every localisation in an image of this size."""
    found.box.require_inside(*size)
    found.cell_box.require_inside(*size)
    assert found.cells.sum() + found.offset == pytest.approx(found.score, abs=1e-3)
    assert -1.001 <= found.score <= 1.001
    width, height = size
    assert found.heat.shape == found.mask.shape == (height, width)
    assert found.mask.dtype == bool
    assert np.isfinite(found.heat).all()
    assert found.heat.min() >= 0
    assert not outside(found.heat, found.cell_box).any()


def outside(values: np.ndarray, box: Region) -> np.ndarray:
    rest = values.copy()
    rest[box.y0 : box.y1, box.x0 : box.x1] = 0
    return rest


def inside(values: np.ndarray, box: Region) -> np.ndarray:
    part: np.ndarray = values[box.y0 : box.y1, box.x0 : box.x1]
    return part


# --- with the real network ---------------------------------------------------------------------


def test_boxes_are_centred_on_the_subjects(finds: Finds) -> None:
    missed = [
        (scene, subject)
        for (scene, subject), found in finds.items()
        if not is_centred_in(found.box, SCENES[scene][subject])
    ]
    assert len(missed) <= 1, missed


def test_boxes_fit_the_subjects(finds: Finds) -> None:
    fits = [found.box.iou(SCENES[scene][subject]) for (scene, subject), found in finds.items()]
    assert np.mean(fits) >= 0.6


def test_two_subjects_of_one_scene_are_told_apart(finds: Finds) -> None:
    cat, cup = (finds["scene-cat-and-cup.jpg", subject] for subject in ("cat", "coffee"))
    assert cat.box.iou(cup.box) < 0.1


def test_every_find_is_sound(finds: Finds) -> None:
    for found in finds.values():
        check(found, found.image.size)


def test_the_heat_lies_on_the_subject(finds: Finds) -> None:
    for (scene, subject), found in finds.items():
        box = SCENES[scene][subject]
        assert inside(found.heat, box).mean() > 2 * found.heat.mean(), scene


def test_the_mask_lies_in_the_box(finds: Finds) -> None:
    for (scene, _), found in finds.items():
        assert found.mask.any(), scene
        near = found.box.padded(0.15, *found.image.size)
        assert not outside(found.mask, near).any(), scene


def test_the_same_question_gives_the_same_answer(search: SearchEngine, finds: Finds) -> None:
    asked = ("scene-cat-on-grass.jpg", "cat")
    again, first = find(search, *asked), finds[asked]
    assert (again.box, again.score) == (first.box, first.score)
    np.testing.assert_array_equal(again.heat, first.heat)
    np.testing.assert_array_equal(again.mask, first.mask)


@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (30, 20)])
def test_targets_of_odd_shapes(search: SearchEngine, size: tuple[int, int]) -> None:
    query = Query(path=IMAGES / "cat-1.jpg", search="region")
    check(localize(search.collection, query, Image.fromarray(noise(1, *size))), size)


def test_the_box_of_the_query_is_what_is_looked_for(search: SearchEngine) -> None:
    scene = "scene-cat-and-cup.jpg"
    for subject, box in SCENES[scene].items():
        query = Query(path=IMAGES / scene, box=box, search="region")
        found = localize(search.collection, query, load_image(IMAGES / scene).image)
        assert is_centred_in(found.box, box), subject


# --- where geometry proves it ------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_a_proved_match_has_its_outline(search: SearchEngine, share: float) -> None:
    """Also of a small object in a large picture, which is looked at again from near."""
    with Image.open(IMAGES / "cat-1.jpg") as cat:
        turned = cat.convert("RGB").rotate(30, expand=True)
    side = round(turned.width / share)
    target = load_image(IMAGES / "scene-coins-on-grass.jpg").image.resize((side, side))
    target.paste(turned, (side // 3, side // 4))
    query = Query(path=IMAGES / "cat-1.jpg", search="region", verify=True)
    found = localize(search.collection, query, target)
    assert found.proof is not None
    assert found.quad == found.proof.quad
    place = Region(0, 0, *turned.size).shifted(side // 3, side // 4)
    assert found.box.iou(place) > 0.9
    width, height = load_image(IMAGES / "cat-1.jpg").image.size
    assert found.mask.sum() == pytest.approx(width * height, rel=0.05)
    assert not outside(found.mask, place.padded(0.02, side, side)).any()


def test_a_place_that_is_known_is_kept(search: SearchEngine) -> None:
    target = load_image(IMAGES / "scene-cat-and-cup.jpg").image
    query = Query(path=IMAGES / "cat-1.jpg", search="region", verify=True)
    box = Region(10, 20, 90, 100)
    known = localize(search.collection, query, target, box=box)
    assert (known.box, known.quad, known.match) == (box, None, None)
    quad = ((10.0, 60.0), (50.0, 20.0), (90.0, 60.0), (50.0, 100.0))
    outlined = localize(search.collection, query, target, box=box, quad=quad)
    assert (outlined.box, outlined.quad) == (box, quad)
    assert outlined.mask.sum() == pytest.approx(80 * 80 / 2, rel=0.05)


def test_what_is_not_there_is_not_proved(search: SearchEngine) -> None:
    target = load_image(IMAGES / "scene-coins-on-grass.jpg").image
    query = Query(path=IMAGES / "cat-1.jpg", search="region", verify=True)
    found = localize(search.collection, query, target)
    assert (found.proof, found.quad) == (None, None)
    assert found.box == localize(search.collection, replace(query, verify=False), target).box


# --- with the colour grid ----------------------------------------------------------------------


@pytest.mark.parametrize("adapted", [False, True])
@pytest.mark.parametrize("scheme", ["grid", "sliding"])
def test_the_parts_add_up_to_the_score(tmp_path: Path, scheme: str, adapted: bool) -> None:
    desk = noisy_desk(tmp_path, scheme)
    if adapted:
        adapt_store(desk.store)
    query = Query(path=desk.photos / "0.png", search="region")
    found = localize(desk.search().collection, query, Image.fromarray(noise(50, 120, 90)))
    check(found, (120, 90))
    assert abs(found.offset) > 1e-3 or not adapted
    desk.store.close()


@pytest.mark.parametrize("scheme", ["grid", "sliding"])
def test_a_colour_is_found_where_it_is(tmp_path: Path, scheme: str) -> None:
    desk = noisy_desk(tmp_path, scheme, count=1)
    target = Image.new("RGB", (160, 120), BLUE)
    target.paste(GREEN, (0, 0, 60, 120))
    target.paste(RED, (100, 20, 150, 70))
    red = plain(tmp_path / "red.png", RED)
    found = localize(desk.search().collection, Query(path=red, search="region"), target)
    assert is_centred_in(found.box, Region(100, 20, 150, 70))
    assert found.score > 0.9
    assert inside(found.mask, Region(100, 20, 150, 70)).sum() > 0.8 * found.mask.sum()
    desk.store.close()


def test_a_store_without_regions_says_how_to_get_them(desk: Desk, tmp_path: Path) -> None:
    query = Query(path=plain(tmp_path / "red.png", RED), search="region")
    with pytest.raises(StoreError, match="--rebuild --regions grid"):
        localize(desk.search().collection, query, Image.fromarray(noise(1, 80, 80)))


# --- the steps of the box ----------------------------------------------------------------------


@st.composite
def boxes_in_images(draw: st.DrawFn) -> tuple[Region, int, int]:
    width, height = draw(st.integers(1, 4000)), draw(st.integers(1, 4000))
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    return Region(x0, y0, x1, y1), width, height


@given(boxes_in_images(), st.sampled_from(STEPS))
def test_nudged_boxes_stay_in_the_image_and_never_vanish(
    boxed: tuple[Region, int, int], step: float
) -> None:
    box, width, height = boxed
    for near in perturb(box, step, width, height):
        near.require_inside(width, height)
        assert min(near.x1 - near.x0, near.y1 - near.y0) >= MIN_SIDE_PX


def test_nudging_moves_each_side_and_the_whole_box() -> None:
    near = perturb(Region(100, 100, 200, 140), 0.25, 400, 400)
    assert len(near) == len(set(near)) == 12
    assert Region(75, 100, 200, 140) in near
    assert Region(100, 100, 200, 150) in near
    assert Region(125, 100, 225, 140) in near
