from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from indexer.arrays import FloatArray
from indexer.errors import InvalidQueryError
from indexer.progress import no_progress
from indexer.store.store import Store
from retrieval.collection_map import map_collection, read_map
from retrieval.kept_map import FILE, keep, read_kept
from retrieval.map_layout import EVERY, EXAGGERATED, FURTHER, MappingStopped, place
from tests.colour_grid import colour_spec
from tests.desk import Desk
from tests.pictures import plain, set_time, shades
from tests.sample import MANIFEST, Sample


@pytest.fixture
def filled(desk: Desk) -> Desk:
    for number, colour in enumerate(shades(14)):
        plain(desk.photos / f"{number}.png", colour)
    desk.index()
    return desk


def test_images_of_one_subject_lie_together(sample: Sample) -> None:
    found = map_collection(sample.search.collection)
    assert found.points.dtype == np.float32
    assert found.points.shape == (len(found.image_ids), 2)
    assert np.isfinite(found.points).all()
    assert found.image_ids.tolist() == sorted(
        known.id for known in sample.store.known_files().values()
    )
    infos = sample.store.image_infos(found.image_ids.tolist())
    subject = {name: group for group, names in MANIFEST["groups"].items() for name in names}
    groups = np.array([subject.get(infos[i].path.name, "") for i in found.image_ids.tolist()])
    distances = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    for group in MANIFEST["groups"]:
        own, others = groups == group, groups != group
        within = distances[np.ix_(own, own)].sum() / (own.sum() * (own.sum() - 1))
        assert within < 0.7 * distances[np.ix_(own, others)].mean(), group


def test_a_map_is_kept_and_read_again(filled: Desk) -> None:
    first = map_collection(filled.search().collection)
    place = filled.store.derived.path / FILE
    set_time(place, 1000)
    second = map_collection(filled.search().collection)
    assert place.stat().st_mtime == 1000
    np.testing.assert_array_equal(first.points, second.points)
    np.testing.assert_array_equal(first.image_ids, second.image_ids)

    changed = io.BytesIO()
    with np.load(io.BytesIO(filled.store.derived.read(FILE) or b"")) as kept:
        np.savez(changed, **{**kept, "points": kept["points"] + 1})
    assert filled.store.derived.write(FILE, changed.getvalue())
    np.testing.assert_array_equal(
        map_collection(filled.search().collection).points, first.points + 1
    )
    assert sorted(p.name for p in filled.store.derived.path.glob("map*")) == [FILE]


def test_the_same_collection_gives_the_same_map(filled: Desk) -> None:
    first = map_collection(filled.search().collection)
    (filled.store.derived.path / FILE).unlink()
    np.testing.assert_allclose(
        map_collection(filled.search().collection).points, first.points, atol=1e-3
    )


def test_a_kept_map_is_read_without_vectors(filled: Desk) -> None:
    search = filled.search()
    assert read_map(search.collection) is None
    found = map_collection(search.collection)
    again = filled.search().collection
    read = read_map(again)
    assert read is not None
    np.testing.assert_array_equal(read.points, found.points)
    assert (again.commits, again._indexes) == (found.commits, {})


def test_new_images_are_placed_by_their_neighbours(filled: Desk) -> None:
    search = filled.search()
    before = map_collection(search.collection)
    assert before.image_ids.tolist() == list(range(1, 15))
    shutil.copy(filled.photos / "3.png", filled.photos / "new.png")
    filled.index()
    assert read_map(search.collection) is None
    grown = map_collection(search.collection)
    assert grown.image_ids.tolist() == [*before.image_ids.tolist(), filled.id_of("new.png")]
    np.testing.assert_array_equal(grown.points[:14], before.points)
    low, high = before.points.min(axis=0), before.points.max(axis=0)
    assert (low <= grown.points[14]).all()
    assert (grown.points[14] <= high).all()
    kept = read_kept(filled.store.derived)
    assert kept is not None
    assert (kept.laid_out.tolist(), kept.changes) == ([True] * 14 + [False], 1)


def test_a_placed_image_lies_with_its_likes(sample: Sample) -> None:
    vectors = map_collection(sample.search.collection)
    infos = sample.store.image_infos(vectors.image_ids.tolist())
    names = [infos[i].path.name for i in vectors.image_ids.tolist()]
    kind = sample.store.find_kind("conv", "image")
    _, _, rows = sample.search.collection.index(kind).rows_of_images(vectors.image_ids)
    new = np.array([name == "tissue-3.jpg" for name in names])
    found = place(rows[new], rows[~new], vectors.points[~new], no_progress, lambda: False)
    of_tissue = [name.startswith("tissue") and name != "tissue-3.jpg" for name in names]
    middle = np.median(vectors.points[of_tissue], axis=0)
    distances = np.linalg.norm(vectors.points - middle, axis=1)
    assert np.linalg.norm(found[0] - middle) < np.median(distances)


def test_images_in_any_order_are_placed_alike() -> None:
    random = np.random.default_rng(7)
    laid_out = random.normal(size=(40, 5)).astype(np.float32)
    points = random.normal(size=(40, 2)).astype(np.float32)
    new = random.normal(size=(600, 5)).astype(np.float32)

    def placed(vectors: FloatArray) -> FloatArray:
        return place(vectors, laid_out, points, no_progress, lambda: False)

    np.testing.assert_array_equal(placed(new)[::-1], placed(new[::-1]))


def test_removed_images_leave_the_map(filled: Desk) -> None:
    search = filled.search()
    before = map_collection(search.collection)
    filled.store.remove([filled.id_of("0.png")])
    shrunk = map_collection(search.collection)
    np.testing.assert_array_equal(shrunk.image_ids, before.image_ids[1:])
    np.testing.assert_array_equal(shrunk.points, before.points[1:])


def test_after_many_changes_all_are_laid_out_again(filled: Desk) -> None:
    search = filled.search()
    before = map_collection(search.collection)
    filled.store.remove([filled.id_of("0.png")])
    map_collection(search.collection)
    filled.store.remove([filled.id_of("1.png")])
    shrunk = map_collection(search.collection)  # two of twelve have changed by now
    assert len(shrunk.points) == len(shrunk.image_ids) == 12
    assert not np.allclose(shrunk.points, before.points[2:])
    kept = read_kept(filled.store.derived)
    assert kept is not None
    assert (bool(kept.laid_out.all()), kept.changes) == (True, 0)


def test_a_commit_that_changes_no_image_keeps_the_layout(filled: Desk) -> None:
    search = filled.search()
    before = map_collection(search.collection)
    (filled.photos / "0.png").rename(filled.photos / "moved.png")
    filled.index()
    after = map_collection(search.collection)
    assert after.commits > before.commits
    np.testing.assert_array_equal(after.points, before.points)
    read = read_map(search.collection)
    assert read is not None
    assert read.commits == after.commits


def test_other_features_have_a_map_of_their_own(filled: Desk) -> None:
    map_collection(filled.search().collection)
    kept = read_kept(filled.store.derived)
    assert kept is not None
    keep(filled.store.derived, replace(kept, fingerprint="another"))
    assert read_map(filled.search().collection) is None
    map_collection(filled.search().collection)
    again = read_kept(filled.store.derived)
    assert again is not None
    assert again.fingerprint == filled.store.spec.fingerprint


def test_progress_is_told_up_to_the_end(filled: Desk) -> None:
    told: list[tuple[str, int, int]] = []

    def note(step: str, done: int, total: int, *, failed: int = 0) -> None:
        told.append((step, done, total))
        assert failed == 0

    map_collection(filled.search().collection, progress=note)
    assert list(dict.fromkeys(step for step, _, _ in told)) == [
        "Reading vectors",
        "Finding neighbours",
        "Laying out",
    ]
    total = EXAGGERATED + FURTHER
    steps = [(done, of) for step, done, of in told if step == "Laying out"]
    assert steps == [(done, total) for done in range(EVERY, total + 1, EVERY)]


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_a_stopped_map_leaves_nothing(filled: Desk, calls: int) -> None:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > calls

    with pytest.raises(MappingStopped):
        map_collection(filled.search().collection, stop=stop)
    assert asked == calls + 1
    assert not filled.store.derived.exists(FILE)


@pytest.mark.parametrize(
    "damage",
    [
        {"points": np.full((14, 2), np.nan, np.float32)},
        {"points": np.zeros((13, 2), np.float32)},
        {"ids": np.arange(14, 0, -1)},
        {"laid_out": np.zeros(14, np.bool_)},
        {"laid_out": np.ones(3, np.bool_)},
        {"commits": np.array("many")},
    ],
    ids=["not finite", "too few", "not ascending", "none laid out", "other length", "no number"],
)
def test_a_map_that_cannot_be_is_replaced(filled: Desk, damage: dict[str, np.ndarray]) -> None:
    expected = map_collection(filled.search().collection)
    changed = io.BytesIO()
    with np.load(io.BytesIO(filled.store.derived.read(FILE) or b"")) as kept:
        np.savez(changed, **{**kept, **damage})
    assert filled.store.derived.write(FILE, changed.getvalue())
    assert read_map(filled.search().collection) is None
    found = map_collection(filled.search().collection)
    np.testing.assert_array_equal(found.image_ids, expected.image_ids)
    np.testing.assert_allclose(found.points, expected.points, atol=1e-3)


def test_a_store_built_anew_has_a_map_of_its_own(filled: Desk) -> None:
    before = map_collection(filled.search().collection)
    filled.store.close()
    Store.delete(filled.store.path)
    for number, colour in enumerate(reversed(shades(14))):
        plain(filled.photos / f"{number}.png", colour)
    filled.store = Store.create(filled.store.path, colour_spec())
    filled.index()
    after = map_collection(filled.search().collection)
    np.testing.assert_array_equal(before.image_ids, after.image_ids)  # given from 1 again
    assert not np.array_equal(before.points, after.points)
    filled.store.close()


def damaged(whole: bytes) -> dict[str, bytes]:
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    return {
        "empty": b"",
        "text": b"not a map",
        "cut": whole[: len(whole) // 2],
        "cut at its end": whole[:-4],
        "flipped": bytes(flipped),
        "no archive": b"PK\x03\x04" + b"x" * 50,
    }


@pytest.mark.parametrize("damage", damaged(b"whole"))
def test_a_damaged_map_is_replaced(filled: Desk, damage: str) -> None:
    place: Path = filled.store.derived.path / FILE
    expected = map_collection(filled.search().collection)
    place.write_bytes(damaged(place.read_bytes())[damage])
    np.testing.assert_allclose(
        map_collection(filled.search().collection).points, expected.points, atol=1e-3
    )
    with np.load(io.BytesIO(filled.store.derived.read(FILE) or b"")) as kept:
        np.testing.assert_allclose(kept["points"], expected.points, atol=1e-3)


def test_of_a_large_collection_some_are_laid_out_and_the_rest_placed(desk: Desk) -> None:
    for number, colour in enumerate(shades(24)):
        plain(desk.photos / f"{number}.png", colour)
    desk.index()
    found = map_collection(desk.search().collection, count=12)
    assert found.image_ids.tolist() == list(range(1, 25))
    assert np.isfinite(found.points).all()
    kept = read_kept(desk.store.derived)
    assert kept is not None
    assert (kept.laid_out.tolist(), kept.changes) == ([True, False] * 12, 0)
    laid_out = found.points[::2]
    assert (found.points[1::2] >= laid_out.min(axis=0)).all()
    assert (found.points[1::2] <= laid_out.max(axis=0)).all()


def test_images_spread_evenly_stand_for_a_map(filled: Desk) -> None:
    found = map_collection(filled.search().collection)
    some = found.spread(5)
    assert some.image_ids.tolist() == [1, 4, 7, 10, 13]
    np.testing.assert_array_equal(some.points, found.points[::3])
    assert found.spread(14).image_ids.tolist() == found.image_ids.tolist()


@pytest.mark.parametrize("count", [1, 9])
def test_too_few_images(desk: Desk, count: int) -> None:
    for number, colour in enumerate(shades(count)):
        plain(desk.photos / f"{number}.png", colour)
    desk.index()
    with pytest.raises(InvalidQueryError, match=f"at least 10 images, not {count}"):
        map_collection(desk.search().collection)


def test_ten_images_are_enough(desk: Desk) -> None:
    for number, colour in enumerate(shades(10)):
        plain(desk.photos / f"{number}.png", colour)
    desk.index()
    points = map_collection(desk.search().collection).points
    assert points.shape == (10, 2)
    assert np.isfinite(points).all()
