from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from indexer.errors import DegenerateFeatureError
from indexer.features.backbones import BACKBONES
from indexer.features.engine import Activations
from indexer.features.extractor import FeatureExtractor, unit
from indexer.features.inputs import input_size
from indexer.features.whitening import Axes
from indexer.features.windows import to_regions
from indexer.images import Pixels
from tests.colour_grid import ColourGridEngine, colour_extractor, region_spec
from tests.pictures import BLUE, ORANGE, PHOTOS, RED, noise, photo, quadrants

SIDES = st.integers(1, 30_000)


def image(seed: int, width: int, height: int) -> Image.Image:
    return Image.fromarray(noise(seed, width, height))


@given(SIDES, SIDES, st.integers(64, 1024), st.sampled_from(sorted(BACKBONES)))
@example(1, 1, 256, "efficientnet_lite0")
@example(20_000, 1, 256, "efficientnet_lite0")
@example(1, 20_000, 256, "vgg16")
def test_input_size(width: int, height: int, size_px: int, name: str) -> None:
    backbone = BACKBONES[name]
    w, h = input_size(width, height, size_px, backbone)
    assert w % backbone.multiple_px == h % backbone.multiple_px == 0
    assert min(w, h) >= backbone.min_size_px
    assert (h, w) == input_size(height, width, size_px, backbone)
    if 1 / 4 <= width / height <= 4 and size_px >= 256:
        assert w * h == pytest.approx(size_px**2, rel=0.35)
        assert (w >= h) == (width >= height) or abs(width / height - 1) < 0.3
    # Memory stays bounded whatever the shape.
    assert w * h <= 4 * (size_px + backbone.multiple_px) ** 2


def test_a_square_enters_at_the_size_of_the_spec() -> None:
    assert input_size(4000, 4000, 256, BACKBONES["efficientnet_lite0"]) == (256, 256)
    assert input_size(3000, 2000, 256, BACKBONES["efficientnet_lite0"]) == (320, 224)


def test_prepare_keeps_colours_and_shape() -> None:
    prepared = colour_extractor().prepare(Image.new("RGB", (900, 600), ORANGE))
    assert (prepared.boxes.shape, prepared.crops) == ((0, 4), ())
    pixels = prepared.pixels
    assert pixels.shape == (64, 64, 3) or pixels.shape == (64, 96, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == ORANGE).all()


def test_prepare_cuts_the_windows_of_the_sliding_scheme() -> None:
    picture = quadrants(256, 128)
    spec = region_spec("sliding", crop_px=32)
    prepared = colour_extractor(spec=spec).prepare(picture)
    assert len(prepared.crops) == len(prepared.boxes) > 4
    assert prepared.boxes[0].tolist() == [0, 0, 1, 1]
    for pixels, region in zip(prepared.crops, to_regions(prepared.boxes, 256, 128), strict=True):
        means = [np.asarray(p).mean(axis=(0, 1)) for p in (pixels, picture.crop(region.as_tuple()))]
        np.testing.assert_allclose(means[0], means[1], atol=6)


def test_prepare_lays_the_windows_of_the_grid_out() -> None:
    prepared = colour_extractor(spec=region_spec()).prepare(Image.new("RGB", (500, 500), RED))
    assert prepared.crops == ()
    assert prepared.boxes.tolist() == region_spec().layout.boxes(64, 64).tolist()


def test_spec_and_adaptation_go_together() -> None:
    axes = Axes(np.zeros(6, np.float32), np.eye(6, dtype=np.float32))
    with pytest.raises(ValueError, match="adaptation"):
        FeatureExtractor(region_spec(), inference=ColourGridEngine(), adaptation=axes)
    adapted = region_spec(adaptation="0123456789abcdef")
    with pytest.raises(ValueError, match="adaptation"):
        FeatureExtractor(adapted, inference=ColourGridEngine())
    extractor = FeatureExtractor(adapted, inference=ColourGridEngine(), adaptation=axes)
    [features] = extractor.extract([quadrants()])
    [plain] = colour_extractor(spec=region_spec()).extract([quadrants()])
    np.testing.assert_allclose(features.region, plain.region, atol=1e-6)


def test_the_fake_ranks_as_a_person_would() -> None:
    red, orange, blue = colour_extractor().extract(
        [Image.new("RGB", (32, 32), colour) for colour in (RED, ORANGE, BLUE)]
    )
    assert red.conv @ orange.conv > red.conv @ blue.conv


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1, 1), (20_000, 1), (37, 900)])
def test_vectors_are_unit_float32(lite0: FeatureExtractor, size: tuple[int, int]) -> None:
    [features] = lite0.extract([image(1, *size)])
    for vector, channels in ((features.conv, 1280), (features.fc, 1000)):
        assert vector.shape == (channels,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert features.boxes[0].tolist() == [0, 0, 1, 1]
    assert features.region.shape == (len(features.boxes), 384)
    assert features.region.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(features.region, axis=1), 1, atol=1e-5)
    assert features.region_fc.size == 0


def test_what_is_beside_an_image_never_changes_its_vector(lite0: FeatureExtractor) -> None:
    images = [photo(name) for name in PHOTOS]
    images += [image(seed, 200 + 60 * seed, 300) for seed in range(6)]
    together = lite0.extract(images)
    backwards = lite0.extract(images[::-1])[::-1]
    for image_, one, other in zip(images, together, backwards, strict=True):
        [alone] = lite0.extract([image_])
        for kind in ("conv", "fc"):
            expected = getattr(alone, kind)
            assert expected @ getattr(one, kind) > 0.999
            assert expected @ getattr(other, kind) > 0.999
        np.testing.assert_array_equal(alone.boxes, one.boxes)
        # The whitening magnifies what bf16 rounds off.
        for features in (one, other):
            assert (alone.region * features.region).sum(axis=1).min() > 0.995


def test_no_images_no_features(lite0: FeatureExtractor) -> None:
    assert lite0.extract([]) == []


class SilentEngine(ColourGridEngine):
    """Activates nothing for a black picture, and overflows for a white one."""

    def run(self, images: Sequence[Pixels]) -> list[Activations]:
        return [self._fill(i) if i.min() == i.max() else self.activate(i) for i in images]

    def _fill(self, image: Pixels) -> Activations:
        value = np.float32(0 if image.max() == 0 else np.inf)
        return {tap: np.full_like(a, value) for tap, a in self.activate(image).items()}


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255)])
def test_a_vector_without_direction_is_an_error(colour: tuple[int, int, int]) -> None:
    extractor = colour_extractor(SilentEngine())
    assert extractor.extract([Image.new("RGB", (8, 8), RED)])
    with pytest.raises(DegenerateFeatureError, match="no direction"):
        extractor.extract([Image.new("RGB", (8, 8), colour)])


@pytest.mark.parametrize("values", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_unit_refuses(values: list[float]) -> None:
    with pytest.raises(DegenerateFeatureError):
        unit(np.array(values, np.float32))


# What the default network sees in photographs whose content is known (ImageNet classes).
KNOWN = {
    "chelsea": {281, 282, 283, 285},  # tabby, tiger, Persian and Egyptian cat
    "coffee": {504, 967, 968},  # coffee mug, espresso, cup
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_default_network_knows_what_it_sees(lite0: FeatureExtractor, name: str) -> None:
    [features] = lite0.extract([photo(name)])
    assert int(features.fc.argmax()) in KNOWN[name]
