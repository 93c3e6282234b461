from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image

from indexer.arrays import Pixels
from indexer.choices import EngineName
from indexer.features.engines.openvino import FEW_IMAGES
from indexer.features.engines.openvino_runtime import cache_folder
from indexer.features.engines.protocols import Activations, activations_of
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from tests.features import describe, lowest_cosine
from tests.pictures import PHOTOS, photo

AGREEMENT = 0.999
REGION_AGREEMENT = 0.998  # the whitening magnifies what is rounded off
BOTH = pytest.mark.parametrize("name", ["openvino", "torch"])


def photos() -> list[Image.Image]:
    """Photographs, a strip of one, one stood upright, a narrow panorama, and one of few pixels."""
    images = [photo(name) for name in PHOTOS]
    strip = images[0].crop((0, 200, images[0].width, 300))
    panorama = images[1].resize((1600, 60)).transpose(Image.Transpose.ROTATE_90)
    upright = images[1].transpose(Image.Transpose.ROTATE_90)
    return [*images, strip, upright, panorama, images[0].resize((7, 5))]


def check_agreement(
    spec: FeatureSpec, agreement: float = AGREEMENT, region_agreement: float = REGION_AGREEMENT
) -> None:
    fast, reference = (FeatureExtractor(spec, engine=e) for e in ("openvino", "torch"))
    images = photos()
    for one, other in zip(describe(fast, images), describe(reference, images), strict=True):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        for kind in spec.kinds:
            least = region_agreement if kind.name == "region" else agreement
            assert lowest_cosine(one, other, kind.name) > least, kind


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"pooling": "gem"},
        {"regions": "none"},
        {"regions": "sliding", "scales": (0.7,)},
        {"conv": "stage4", "size_px": 224},
        {"conv": "stage4", "region_taps": ("stage2", "stage6"), "whitening": "", "size_px": 160},
        {"region_taps": ("head",), "whitening": "", "scales": (0.5, 0.2), "aspects": (0.5, 2.0)},
    ],
    ids=str,
)
def test_engines_agree_on_the_default_network(choices: dict[str, Any]) -> None:
    check_agreement(FeatureSpec.create(**choices))


def test_in_float32_openvino_is_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CBIR_PRECISION", "f32")
    check_agreement(FeatureSpec.create(), 0.999999, 0.99999)


@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v3_large", "vgg16"])
def test_engines_agree_on_networks_of_torchvision(
    name: str, with_random_weights: Callable[[str], None]
) -> None:
    with_random_weights(name)
    check_agreement(FeatureSpec.create(name, size_px=224))


def test_fc6_of_a_classic_network(with_random_weights: Callable[[str], None]) -> None:
    with_random_weights("alexnet")
    extractor = FeatureExtractor(FeatureSpec.create("alexnet", fc="fc6"), engine="torch")
    [features] = describe(extractor, [photo("coffee")])
    conv, fc = features.vectors["conv"], features.vectors["fc"]
    assert (conv.shape, fc.shape) == ((1, 256), (1, 4096))
    assert np.linalg.norm(fc) == pytest.approx(1, abs=1e-5)


def test_an_engine_says_what_it_is(lite0: FeatureExtractor) -> None:
    assert lite0.inference.description.startswith(("OpenVINO", "torch"))


def test_the_converted_model_is_kept() -> None:
    FeatureExtractor(FeatureSpec.create(), engine="openvino")
    kept = list((cache_folder() / "models").iterdir())
    assert {path.suffix for path in kept} == {".xml", ".bin"}
    before = {path: path.stat().st_mtime_ns for path in kept}
    FeatureExtractor(FeatureSpec.create(), engine="openvino")
    assert {path: path.stat().st_mtime_ns for path in before} == before


# --- calls of an engine -------------------------------------------------------------------------


def small(count: int) -> list[Pixels]:
    """Photographs of few pixels and of several shapes."""
    return [
        np.asarray(photo(PHOTOS[i % len(PHOTOS)]).resize((64 + 32 * (i % 3), 64 + 32 * (i % 2))))
        for i in range(count)
    ]


def check_same(found: Activations, expected: Activations) -> None:
    assert found.keys() == expected.keys()
    for tap, values in expected.items():
        np.testing.assert_array_equal(found[tap], values)


@BOTH
def test_activations_have_the_shapes_of_their_taps(name: EngineName) -> None:
    extractor = FeatureExtractor(FeatureSpec.create(size_px=64), engine=name)
    [activations] = activations_of(extractor.inference, [np.zeros((64, 96, 3), np.uint8)])
    assert set(activations) == set(extractor.spec.taps)
    for name_, values in activations.items():
        tap = extractor.backbone.tap(name_)
        cells = (64 // tap.stride_px, 96 // tap.stride_px) if tap.kind == "conv" else ()
        assert values.shape == (tap.channels, *cells)
        assert values.dtype == np.float32


@BOTH
def test_threads_may_ask_at_once(name: EngineName) -> None:
    inference = FeatureExtractor(FeatureSpec.create(size_px=64), engine=name).inference
    images = small(FEW_IMAGES + 2)
    alone = [activations_of(inference, [image])[0] for image in images]

    def ask(count: int) -> list[Activations]:
        return activations_of(inference, images[:count])

    with ThreadPoolExecutor(4) as threads:
        for together in threads.map(ask, [2, len(images)] * 6):
            for expected, found in zip(alone, together, strict=False):
                check_same(found, expected)


@BOTH
def test_what_is_returned_outlives_the_next_call(name: EngineName) -> None:
    inference = FeatureExtractor(FeatureSpec.create(size_px=64), engine=name).inference
    one, other = (np.asarray(photo(p).resize((96, 64))) for p in PHOTOS[:2])
    [first] = activations_of(inference, [one])
    kept = {tap: values.copy() for tap, values in first.items()}
    activations_of(inference, [other])
    check_same(first, kept)


@BOTH
@pytest.mark.parametrize("count", [0, 1, FEW_IMAGES, FEW_IMAGES + 1, 4 * FEW_IMAGES])
def test_what_is_made_of_activations_stands_in_order(name: EngineName, count: int) -> None:
    inference = FeatureExtractor(FeatureSpec.create(size_px=64), engine=name).inference
    images = small(count)
    made = inference.run(images, lambda place, activations: (place, activations))
    assert [place for place, _ in made] == list(range(count))
    for image, (_, found) in zip(images, made, strict=True):
        [expected] = activations_of(inference, [image])
        check_same(found, expected)


@BOTH
@pytest.mark.parametrize("count", [FEW_IMAGES, 4 * FEW_IMAGES])
def test_an_error_in_one_image_is_told_and_harms_no_other_call(
    name: EngineName, count: int
) -> None:
    inference = FeatureExtractor(FeatureSpec.create(size_px=64), engine=name).inference
    images = small(count)

    def fail(place: int, _: Activations) -> int:
        if place == 2:
            raise ZeroDivisionError(place)
        return place

    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match="2"):
            inference.run(images, fail)
        assert inference.run(images, lambda place, _: place) == list(range(count))


@BOTH
@pytest.mark.parametrize("count", [2, 2 * FEW_IMAGES])
def test_an_image_that_cannot_be_forwarded_harms_no_other_call(
    name: EngineName, count: int
) -> None:
    inference = FeatureExtractor(FeatureSpec.create(size_px=64), engine=name).inference
    images = small(count)
    broken = np.zeros((64, 64), np.uint8)  # no colours
    for _ in range(3 * FEW_IMAGES):
        with pytest.raises((RuntimeError, ValueError)):
            inference.run([*images[:1], broken, *images[1:]], lambda place, _: place)
    assert inference.run(images, lambda place, _: place) == list(range(count))


BEGIN_AT_ONCE = """
import sys, threading
from indexer.features.engines.openvino_runtime import ov

sys.setswitchinterval(1e-6)
barrier = threading.Barrier(4)

def begin():
    barrier.wait()
    ov.Type.u8.to_dtype()

threads = [threading.Thread(target=begin) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_the_threads_of_a_new_process_may_begin_at_once() -> None:
    """OpenVINO asks for the types of tensors at each inference, and locks up if it is unready."""
    subprocess.run([sys.executable, "-c", BEGIN_AT_ONCE], check=True, timeout=60)


def test_the_activations_of_one_image_may_be_used_while_another_call_runs() -> None:
    inference = FeatureExtractor(FeatureSpec.create(size_px=64), engine="openvino").inference
    images = small(2)
    inside, free = threading.Event(), threading.Event()

    def linger(place: int, _: Activations) -> int:
        inside.set()
        assert free.wait(60)
        return place

    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(inference.run, images, linger)
        assert inside.wait(60)
        assert inference.run(images, lambda place, _: place) == [0, 1]
        free.set()
        assert slow.result() == [0, 1]
