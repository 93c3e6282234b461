"""Candidates are verified and examined closely."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from indexer.arrays import FloatArray
from indexer.features.local import LocalFeatures
from indexer.features.regions import Region
from indexer.features.windows import WindowLayout, to_regions
from indexer.sources.place import as_path
from indexer.store.statistics import summarize
from retrieval.boxes import anchor_boxes, vote_box, vote_boxes
from retrieval.picture import Picture
from retrieval.query import Hit, Query
from retrieval.rerank.close_up import order_again
from retrieval.rerank.step import best_rows
from retrieval.zoom import CONTEXT, describe_zoomed
from tests.desk import noisy_desk
from tests.pictures import noise
from tests.sample import SAMPLE, SCENES, Sample, holding, is_centred_in


def row(*values: float) -> FloatArray:
    vector = np.array(values, np.float32)
    unit: FloatArray = vector / np.linalg.norm(vector)
    return unit


def axis(number: int) -> FloatArray:
    vector = np.zeros(8, np.float32)
    vector[number] = 1
    return vector


# --- voting ------------------------------------------------------------------------------------


def test_a_window_alone_is_the_box() -> None:
    assert vote_box([Region(3, 4, 30, 40)], np.array([0.5], np.float32)) == Region(3, 4, 30, 40)


def test_windows_that_score_the_same_meet_in_the_middle() -> None:
    windows = [Region(0, 0, 40, 40), Region(20, 0, 60, 40)]
    assert vote_box(windows, np.array([0.5, 0.5], np.float32)) == Region(10, 0, 50, 40)


def test_the_better_window_counts_more() -> None:
    windows = [Region(0, 0, 40, 40), Region(20, 0, 60, 40)]
    box = vote_box(windows, np.array([0.6, 0.5], np.float32))
    assert 0 < box.x0 < 10


def test_a_window_elsewhere_has_no_vote() -> None:
    windows = [Region(0, 0, 40, 40), Region(100, 100, 140, 140)]
    assert vote_box(windows, np.array([0.49, 0.5], np.float32)) == windows[1]


@st.composite
def scored_windows(draw: st.DrawFn) -> tuple[list[Region], FloatArray]:
    starts = draw(st.lists(st.tuples(*[st.integers(0, 90)] * 2), min_size=1, max_size=8))
    sides = [draw(st.tuples(*[st.integers(1, 60)] * 2)) for _ in starts]
    windows = [Region(x, y, x + w, y + h) for (x, y), (w, h) in zip(starts, sides, strict=True)]
    scores = [draw(st.floats(-1, 1, width=32)) for _ in windows]
    return windows, np.array(scores, np.float32)


@given(scored_windows())
def test_the_voted_box_lies_within_the_windows(scored: tuple[list[Region], FloatArray]) -> None:
    windows, scores = scored
    box = vote_box(windows, scores)
    assert min(w.x0 for w in windows) <= box.x0 < box.x1 <= max(w.x1 for w in windows)
    assert min(w.y0 for w in windows) <= box.y0 < box.y1 <= max(w.y1 for w in windows)


def test_objects_with_fewer_windows_are_voted_beside_others() -> None:
    boxes = np.zeros((2, 2, 4), np.int64)
    boxes[0] = [[0, 0, 40, 40], [20, 0, 60, 40]]
    boxes[1, 0] = [5, 5, 9, 9]  # its only window
    scores = np.array([[0.5, 0.5], [0.9, -np.inf]], np.float32)
    assert vote_boxes(boxes, scores) == [Region(10, 0, 50, 40), Region(5, 5, 9, 9)]


# --- rows and places ------------------------------------------------------------------------


def test_the_best_row_of_each_set() -> None:
    sets = [np.stack([axis(0), axis(1)]), axis(1)[None], np.stack([axis(3), axis(2), axis(1)])]
    scores, rows = best_rows(sets, row(0, 3, 2, 1, 0, 0, 0, 0))
    assert rows.tolist() == [1, 0, 2]
    assert scores == pytest.approx(3 / np.sqrt(14))


def test_no_sets_have_no_rows() -> None:
    scores, rows = best_rows([], axis(0))
    assert len(scores) == len(rows) == 0


@given(st.integers(0, 12), st.data())
def test_places_without_a_score_stay(count: int, data: st.DataObject) -> None:
    places = st.sampled_from(range(count)) if count else st.nothing()
    scores = data.draw(st.dictionaries(places, st.floats(-1, 1, width=32)))
    order = order_again(count, scores)
    assert sorted(order) == list(range(count))
    assert all(order[place] == place for place in range(count) if place not in scores)
    ranked = [scores[order[place]] for place in sorted(scores)]
    assert ranked == sorted(ranked, reverse=True)


# --- shapes and looks --------------------------------------------------------------------------


@given(st.data(), st.integers(1, 4000), st.integers(1, 4000))
def test_reshaped_boxes_stay_in_the_image(data: st.DataObject, width: int, height: int) -> None:
    x0, y0 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x1, y1 = data.draw(st.integers(x0 + 1, width)), data.draw(st.integers(y0 + 1, height))
    shapes = anchor_boxes(Region(x0, y0, x1, y1), width, height)
    assert shapes[0] == Region(x0, y0, x1, y1)
    for shape in shapes:
        shape.require_inside(width, height)


def test_reshaped_boxes_are_smaller_and_larger_wider_and_higher() -> None:
    shapes = anchor_boxes(Region(200, 200, 300, 300), 1000, 1000)
    assert min(s.area for s in shapes) < 6000 < 16000 < max(s.area for s in shapes)
    aspects = [(s.x1 - s.x0) / (s.y1 - s.y0) for s in shapes]
    assert min(aspects) < 0.7 < 1.4 < max(aspects)


def test_a_close_look_stays_in_its_part_of_the_image(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path, count=1)
    regions = [Region(10, 20, 60, 50), Region(0, 0, 1, 1)]
    pictures = [Picture(noise(1, 90, 80), (90, 80)), Picture(noise(2, 1, 1), (1, 1))]
    zoomed = describe_zoomed(desk.extractor(), pictures, regions)
    for windows, picture, region in zip(zoomed, pictures, regions, strict=True):
        around = region.padded(CONTEXT, *picture.size)
        assert len(windows.regions) == len(windows.vectors)
        for window in windows.regions:
            assert around.x0 <= window.x0 < window.x1 <= around.x1
            assert around.y0 <= window.y0 < window.y1 <= around.y1
    desk.store.close()


# --- re-ranking --------------------------------------------------------------------------------


def names(hits: list[Hit]) -> list[str]:
    return [hit.path.name for hit in hits]


def test_reranked_hits_are_sound(sample: Sample) -> None:
    query = Query(
        path=sample.path("cat-1.jpg"), search="region", rerank=True, candidates=20, k=None
    )
    hits = sample.search.search(query)
    assert len(set(names(hits))) == len(hits) == summarize(sample.store).images
    assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))
    proofs = [hit.inliers is not None for hit in hits]
    assert proofs == sorted(proofs, reverse=True)
    assert hits[0].path.name == "cat-1.jpg"
    for hit in hits:
        assert -1 <= hit.score <= 1
        assert hit.region is not None
        hit.region.require_inside(*sample.size(hit.path.name))


@pytest.mark.parametrize("subject", ["cat", "coffee"])
def test_reranking_brings_the_scenes_of_a_subject_first(sample: Sample, subject: str) -> None:
    query = Query(path=sample.path(f"{subject}-1.jpg"), search="region", rerank=True, k=None)
    scenes = [hit for hit in sample.search.search(query) if hit.path.name in SCENES]
    first = scenes[: len(holding(subject))]
    assert set(names(first)) == holding(subject)
    for hit in first:
        assert is_centred_in(hit.region, SCENES[hit.path.name][subject])


@pytest.mark.parametrize(("k", "candidates"), [(1, 1), (15, 1), (2, 6)])
def test_any_number_of_candidates_gives_k_hits(sample: Sample, k: int, candidates: int) -> None:
    query = Query(
        path=sample.path("rocket-1.jpg"), search="region", rerank=True, k=k, candidates=candidates
    )
    hits = sample.search.search(query)
    assert len(set(names(hits))) == k
    assert hits[0].path.name.startswith("rocket")


@pytest.mark.parametrize("step", [{}, {"verify": True}, {"rerank": True}])
def test_asking_for_more_hits_does_not_change_the_first(
    sample: Sample, monkeypatch: pytest.MonkeyPatch, step: dict[str, Any]
) -> None:
    for module in ("retrieval.candidates", "retrieval.rerank.query_expansion"):
        monkeypatch.setattr(f"{module}.POOL", 30)
    parts = [(name, box) for name, boxes in sorted(SCENES.items()) for box in boxes.values()]
    wholes = [(path.name, None) for path in sorted((SAMPLE / "images").iterdir())]
    for name, box in parts[:3] + wholes[::6]:
        whole_or_part = Query(path=sample.path(name), box=box, search="region", candidates=3)
        query = replace(whole_or_part, **step)
        few, more, all_of_pool = (sample.search.search(replace(query, k=k)) for k in (3, 8, 30))
        assert few == more[:3]
        assert more == all_of_pool[:8]


def test_more_hits_and_candidates_than_images(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path, count=3)
    query = Query(path=desk.photos / "1.png", search="region", rerank=True, k=500, candidates=500)
    assert sorted(names(desk.search().search(query))) == ["0.png", "1.png", "2.png"]
    desk.store.close()


@pytest.mark.parametrize(
    "missing", [["2.png"], ["1.png", "2.png", "5.png"], []], ids=["one", "three", "all"]
)
def test_images_whose_files_are_gone_stay_hits(tmp_path: Path, missing: list[str]) -> None:
    desk = noisy_desk(tmp_path)
    gone = missing or desk.paths()
    asked = (desk.photos / "2.png").read_bytes()
    for name in gone:
        (desk.photos / name).unlink()
    hits = desk.search().search(Query(data=asked, search="region", rerank=True))
    assert sorted(names(hits)) == desk.paths()
    coarse = desk.search().search(Query(data=asked, search="region"))
    boxes = {hit.image_id: hit.region for hit in coarse}
    for hit in hits:
        if hit.path.name in gone:
            assert hit.region == boxes[hit.image_id]
    desk.store.close()


def test_an_image_whose_file_is_now_another_stays_a_hit(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path)
    asked = Query(data=(desk.photos / "2.png").read_bytes(), search="region", rerank=True)
    for name in ("1.png", "2.png"):
        Image.new("RGB", (3, 2)).save(desk.photos / name)
    hits = desk.search().search(asked)
    assert sorted(names(hits)) == desk.paths()
    coarse = desk.search().search(replace(asked, rerank=False))
    boxes = {hit.image_id: hit.region for hit in coarse}
    for hit in hits:
        if hit.path.name in ("1.png", "2.png"):
            assert hit.region == boxes[hit.image_id]
    desk.store.close()


def test_reranking_twice_gives_the_same(sample: Sample) -> None:
    box = SCENES["scene-cat-and-cup.jpg"]["coffee"]
    query = Query(
        path=sample.path("scene-cat-and-cup.jpg"),
        box=box,
        search="region",
        rerank=True,
        candidates=8,
    )
    assert sample.search.search(query) == sample.search.search(query)


def test_windows_that_mostly_score_the_same_still_vote() -> None:
    windows = to_regions(WindowLayout((0.7, 0.47, 0.31, 0.2)).boxes(320, 240), 320, 240)
    scores = np.full(len(windows), 0.5, np.float32)
    scores[:16] = 0.4
    box = vote_box(windows, scores)
    assert box.iou(windows[16]) > 0.2


def test_reranking_when_the_files_of_all_the_first_hits_are_gone(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path, count=30)
    asked = Query(data=(desk.photos / "0.png").read_bytes(), search="region", rerank=True, k=None)
    for hit in desk.search().search(asked)[:25]:
        as_path(hit.path).unlink()
    assert len(desk.search().search(asked)) == 30


@pytest.mark.parametrize("rerank", [False, True])
def test_images_removed_while_the_vectors_are_open(tmp_path: Path, rerank: bool) -> None:
    desk = noisy_desk(tmp_path)
    search = desk.search()
    search.collection.index(search.collection.region_kind)
    desk.store.remove([desk.id_of("5.png")])
    hits = search.search(Query(path=desk.photos / "0.png", search="region", rerank=rerank))
    assert "5.png" not in [hit.path.name for hit in hits]


def test_images_removed_while_reranking_double_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = noisy_desk(tmp_path, count=24)
    search = desk.search()
    query = Query(path=desk.photos / "0.png", search="region", rerank=True, candidates=1, k=None)
    first = [hit.image_id for hit in search.search(query)]
    assert len(first) == 24
    verify = search.collection.local_features

    def remove_first(ids: list[int]) -> list[LocalFeatures | None]:
        desk.store.remove(first[1:4])
        return verify(ids)

    monkeypatch.setattr(search.collection, "local_features", remove_first)
    again = [hit.image_id for hit in search.search(query)]
    assert len(again) == len(set(again)) == 21
