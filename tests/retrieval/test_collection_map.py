from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import InvalidQueryError
from indexer.store.store import Store
from retrieval.collection_map import FILE, map_collection
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
        np.savez(changed, key=kept["key"], points=kept["points"] + 1)
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


def test_a_changed_collection_is_drawn_anew(filled: Desk) -> None:
    search = filled.search()
    before = map_collection(search.collection)
    plain(filled.photos / "new.png", (7, 200, 99))
    filled.index()
    grown = map_collection(search.collection)
    assert grown.image_ids.tolist() == [*before.image_ids.tolist(), filled.id_of("new.png")]
    assert len(grown.points) == 15

    filled.store.remove([filled.id_of("0.png"), filled.id_of("1.png")])
    shrunk = map_collection(search.collection)
    assert len(shrunk.points) == len(shrunk.image_ids) == 13


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


def test_of_a_large_collection_some_are_mapped_evenly(desk: Desk) -> None:
    for number, colour in enumerate(shades(24)):
        plain(desk.photos / f"{number}.png", colour)
    desk.index()
    found = map_collection(desk.search().collection, count=12)
    assert found.image_ids.tolist() == list(range(1, 25, 2))
    assert found.points.shape == (12, 2)


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
