from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from indexer.features.engine import EngineName, cache_folder
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from tests.pictures import PHOTOS, photo

AGREEMENT = 0.999
REGION_AGREEMENT = 0.998  # the whitening magnifies what is rounded off


def photos() -> list[Image.Image]:
    """Photographs, one of them cut to a strip, another stood upright."""
    images = [photo(name) for name in PHOTOS]
    strip = images[0].crop((0, 200, images[0].width, 300))
    return [*images, strip, images[1].transpose(Image.Transpose.ROTATE_90)]


def check_agreement(spec: FeatureSpec) -> None:
    fast, reference = (FeatureExtractor(spec, engine=e) for e in ("openvino", "torch"))
    images = photos()
    for one, other in zip(fast.extract(images), reference.extract(images), strict=True):
        assert one.conv @ other.conv > AGREEMENT
        assert one.fc @ other.fc > AGREEMENT
        assert (one.region * other.region).sum(axis=1).min() > REGION_AGREEMENT


@pytest.mark.parametrize("pooling", ["rmac", "gem"])
def test_engines_agree_on_the_default_network(pooling: str) -> None:
    check_agreement(FeatureSpec.create(pooling=pooling))


def test_engines_agree_at_an_inner_tap() -> None:
    check_agreement(FeatureSpec.create(conv="stage4", size_px=224))


@pytest.mark.parametrize("name", ["alexnet", "mobilenet_v3_large", "vgg16"])
def test_engines_agree_on_networks_of_torchvision(
    name: str, with_random_weights: Callable[[str], None]
) -> None:
    with_random_weights(name)
    check_agreement(FeatureSpec.create(name, size_px=224))


def test_fc6_of_a_classic_network(with_random_weights: Callable[[str], None]) -> None:
    with_random_weights("alexnet")
    extractor = FeatureExtractor(FeatureSpec.create("alexnet", fc="fc6"), engine="torch")
    [features] = extractor.extract([photo("coffee")])
    assert (features.conv.shape, features.fc.shape) == ((256,), (4096,))
    assert np.linalg.norm(features.fc) == pytest.approx(1, abs=1e-5)


def test_an_engine_says_what_it_is(lite0: FeatureExtractor) -> None:
    assert lite0.inference.description.startswith(("OpenVINO", "torch"))


def test_the_converted_model_is_kept(lite0: FeatureExtractor) -> None:
    kept = list((cache_folder() / "models").iterdir())
    assert {path.suffix for path in kept} == {".xml", ".bin"}
    before = {path: path.stat().st_mtime_ns for path in kept}
    FeatureExtractor(lite0.spec)
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_threads_may_ask_at_once(name: EngineName) -> None:
    inference = FeatureExtractor(FeatureSpec.create(size_px=64), engine=name).inference
    images = [np.asarray(photo(p).resize((96 + 32 * i, 64))) for i, p in enumerate(PHOTOS)]
    alone = [inference.run([image])[0] for image in images]
    with ThreadPoolExecutor(4) as threads:
        for together in [*threads.map(inference.run, [images] * 12)]:
            for expected, found in zip(alone, together, strict=True):
                for tap, values in expected.items():
                    np.testing.assert_allclose(found[tap], values, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_what_is_returned_outlives_the_next_call(name: EngineName) -> None:
    inference = FeatureExtractor(FeatureSpec.create(size_px=64), engine=name).inference
    one, other = (np.asarray(photo(p).resize((96, 64))) for p in PHOTOS[:2])
    [first] = inference.run([one])
    kept = {tap: values.copy() for tap, values in first.items()}
    inference.run([other])
    for tap, values in kept.items():
        np.testing.assert_array_equal(first[tap], values)


@pytest.mark.parametrize("name", ["openvino", "torch"])
def test_what_is_made_of_activations_stands_in_order(name: EngineName) -> None:
    inference = FeatureExtractor(FeatureSpec.create(size_px=64), engine=name).inference
    images = [np.asarray(photo(p).resize((96 + 32 * i, 64))) for i, p in enumerate(PHOTOS)]
    made = inference.apply(images, lambda place, a: (place, {t: v.copy() for t, v in a.items()}))
    assert [place for place, _ in made] == list(range(len(images)))
    for (_, found), expected in zip(made, inference.run(images), strict=True):
        for tap, values in expected.items():
            np.testing.assert_allclose(found[tap], values, atol=1e-3, rtol=1e-3)
    assert inference.apply([], lambda *_: None) == []
