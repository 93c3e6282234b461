"""Pooling inside the network gives what numpy gives of the maps that the network hands out."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer.features.backbones import get_backbone
from indexer.features.engine import PooledMaps
from indexer.features.extractor import WHOLE, FeatureExtractor, ImageFeatures
from indexer.features.inputs import Prepared
from indexer.features.openvino_engine import OpenVinoEngine
from indexer.features.openvino_network import AT_ONCE
from indexer.features.pooling import FloatArray
from indexer.features.spec import FeatureSpec
from indexer.images import Pixels
from tests.pictures import PHOTOS, photo

AGREEMENT = 0.9998  # maps are pooled in bf16 where the processor has it


class MapsOnly:
    """An engine with maps only, as that of another make would be."""

    batched = False

    def __init__(self, engine: OpenVinoEngine) -> None:
        self.description = engine.description
        self.run = engine.run
        self.apply = engine.apply


def shapes() -> list[Image.Image]:
    """Photographs: as they are, a strip, a panorama stood upright, and one of a few pixels."""
    images = [photo(name) for name in PHOTOS]
    wide, high = images[0].width, images[0].height
    strip = images[0].crop((0, high // 2, wide, high // 2 + 100))
    panorama = images[1].resize((1600, 60)).transpose(Image.Transpose.ROTATE_90)
    return [*images, strip, panorama, images[0].resize((7, 5))]


def agreement(one: FloatArray, other: FloatArray) -> float:
    """The lowest cosine of rows that belong together."""
    assert one.shape == other.shape
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return float(((one * other).sum(axis=-1) / lengths).min())


def described(spec: FeatureSpec) -> tuple[list[ImageFeatures], list[ImageFeatures]]:
    """The features of the pictures, pooled in the network and from maps."""
    engine = OpenVinoEngine(get_backbone(spec.backbone), spec.taps)
    assert engine.pooler(spec) is not None
    inside = FeatureExtractor(spec, inference=engine)
    outside = FeatureExtractor(spec, inference=MapsOnly(engine))
    return inside.extract(shapes()), outside.extract(shapes())


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"regions": "none"},
        {"regions": "sliding", "scales": (0.7,)},
        {"conv": "stage4", "region_taps": ("stage2", "stage6"), "whitening": "", "size_px": 160},
        {"region_taps": ("head",), "whitening": "", "scales": (0.5, 0.2), "aspects": (0.5, 2.0)},
    ],
)
def test_vectors_are_those_of_the_maps(choices: dict[str, Any]) -> None:
    for one, other in zip(*described(FeatureSpec.create(**choices)), strict=True):
        assert (one.boxes == other.boxes).all()
        assert agreement(one.conv, other.conv) > AGREEMENT
        assert agreement(one.fc, other.fc) > AGREEMENT
        for kind in ("region", "region_fc"):
            rows, expected = getattr(one, kind), getattr(other, kind)
            assert rows.shape == expected.shape
            assert not rows.size or agreement(rows, expected) > AGREEMENT


def test_lengths_are_those_of_the_maps(lite0: FeatureExtractor) -> None:
    """Before anything is normalised: a window twice as strong is twice as long."""
    engine = lite0.inference
    assert isinstance(engine, OpenVinoEngine)
    outside = FeatureExtractor(lite0.spec, inference=MapsOnly(engine))
    items = [lite0.prepare(image) for image in shapes()]
    inside = [maps.maps.rows for maps in lite0.pool(items)]
    for one, expected in zip(inside, outside.pool(items), strict=True):
        for tap, rows in expected.maps.rows.items():
            np.testing.assert_allclose(
                np.linalg.norm(one[tap], axis=1), np.linalg.norm(rows, axis=1), rtol=0.02
            )


def test_where_it_cannot_pool(with_random_weights: Callable[[str], None]) -> None:
    lite = FeatureSpec.create()
    engine = OpenVinoEngine(get_backbone(lite.backbone), lite.taps)
    assert engine.pooler(lite) is engine.pooler(lite)
    assert engine.pooler(FeatureSpec.create(pooling="gem")) is None
    assert engine.pooler(FeatureSpec.create(size_px=4096)) is None  # cells beyond 256
    with_random_weights("alexnet")
    uneven = FeatureSpec.create("alexnet")
    assert OpenVinoEngine(get_backbone("alexnet"), uneven.taps).pooler(uneven) is None


def test_each_image_is_made_once_and_every_answer_has_its_place(lite0: FeatureExtractor) -> None:
    pictures = [lite0.prepare(image) for image in shapes()] * 4
    made: list[int] = []
    seen: dict[threading.Thread, list[tuple[int, ...]]] = defaultdict(list)

    class Shown:
        def __init__(self, place: int) -> None:
            self.place = place
            self.boxes = pictures[place].boxes
            self.shape = pictures[place].shape

        @property
        def pixels(self) -> Pixels:
            made.append(self.place)
            seen[threading.current_thread()].append(self.shape)
            return pictures[self.place].pixels

    shown = [Shown(place) for place in range(len(pictures))]
    found = lite0.look(shown, lambda i, maps: (i, maps.before_fc().copy()))
    assert sorted(made) == list(range(len(pictures)))
    assert [place for place, _ in found] == list(range(len(pictures)))
    seen.pop(threading.current_thread(), None)  # the caller's begins at the other end
    assert seen
    for run in seen.values():
        assert run == sorted(run)  # those of like shape one after the other
    for place, fc in found:
        assert agreement(fc, found[place % len(shapes())][1]) > AGREEMENT


def test_in_turn_is_in_the_thread_of_the_caller(lite0: FeatureExtractor) -> None:
    items = [lite0.prepare(image) for image in shapes()] * 4
    threads = set()

    def note(place: int, maps: PooledMaps) -> tuple[int, FloatArray]:
        threads.add(threading.current_thread())
        return place, maps.before_fc().copy()

    found = lite0.look(items, note, in_turn=True)
    assert len(items) > 2 * AT_ONCE
    assert threads == {threading.current_thread()}
    assert [place for place, _ in found] == list(range(len(items)))
    for place, before_fc in found:
        assert agreement(before_fc, found[place % len(shapes())][1]) > AGREEMENT


@pytest.mark.parametrize("in_turn", [False, True])
def test_pooling_in_turn_changes_nothing(lite0: FeatureExtractor, in_turn: bool) -> None:
    items = [lite0.prepare(image) for image in shapes()]
    alone = [lite0.extract_prepared([item])[0] for item in items]
    together = lite0.whiten(lite0.pool(items * 3, in_turn=in_turn))
    for place, features in enumerate(together):
        assert isinstance(features, ImageFeatures)
        expected = alone[place % len(items)]
        assert agreement(features.fc, expected.fc) > AGREEMENT
        assert agreement(features.region, expected.region) > AGREEMENT


def test_threads_that_ask_at_once_get_their_own(lite0: FeatureExtractor) -> None:
    items = [lite0.prepare(image) for image in shapes()]
    alone = [lite0.extract_prepared([item])[0] for item in items]

    def ask(item: Prepared) -> ImageFeatures:
        return lite0.extract_prepared([item, *items[:2]])[0]

    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(ask, items * 6))
    for place, features in enumerate(together):
        expected = alone[place % len(items)]
        assert agreement(features.conv, expected.conv) > AGREEMENT
        assert agreement(features.region, expected.region) > AGREEMENT


def test_the_views_of_a_query_are_those_of_images_alone(lite0: FeatureExtractor) -> None:
    """From the second time on, the larger one of two goes through the network in two parts."""
    small, large = (lite0.resize(shapes()[0], size) for size in (96, 224))
    views = [Prepared(pixels, WHOLE) for pixels in (small, large)]
    [alone, other] = [lite0.look([view], lambda _, maps: maps.kept())[0] for view in views]
    for _ in range(3):
        for kept, expected in zip(
            lite0.look(views, lambda _, maps: maps.kept()), (alone, other), strict=True
        ):
            assert agreement(kept.conv, expected.conv) > AGREEMENT
            assert agreement(kept.before_fc, expected.before_fc) > AGREEMENT
            for tap, rows in kept.rows.items():
                assert agreement(rows, expected.rows[tap]) > AGREEMENT


@pytest.mark.parametrize("in_turn", [False, True])
def test_an_image_that_cannot_be_made_is_told_and_harms_no_other_call(
    lite0: FeatureExtractor, in_turn: bool
) -> None:
    items = [lite0.prepare(image) for image in shapes()] * 3

    class Unmade:
        boxes = items[0].boxes
        shape = items[0].shape

        @property
        def pixels(self) -> Pixels:
            raise ZeroDivisionError("no pixels")

    with pytest.raises(ZeroDivisionError, match="no pixels"):
        lite0.look([*items[:5], Unmade(), *items[5:]], lambda i, _: i, in_turn=in_turn)
    assert lite0.look(items, lambda i, _: i, in_turn=in_turn) == list(range(len(items)))


@pytest.mark.parametrize("in_turn", [False, True])
def test_an_error_in_one_image_is_told_and_harms_no_other_call(
    lite0: FeatureExtractor, in_turn: bool
) -> None:
    items = [lite0.prepare(image) for image in shapes()] * 3

    def fail(place: int, _: object) -> int:
        if place == 4:
            raise ZeroDivisionError(place)
        return place

    with pytest.raises(ZeroDivisionError, match="4"):
        lite0.look(items, fail, in_turn=in_turn)
    assert lite0.look(items, lambda i, _: i, in_turn=in_turn) == list(range(len(items)))
    assert lite0.look([], fail, in_turn=in_turn) == []
