from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from indexer.arrays import FloatArray, Pixels, unit_vector
from indexer.errors import DegenerateFeatureError
from indexer.features.backbones import BACKBONES
from indexer.features.engines.protocols import Activations, activations_of
from indexer.features.extractor import WHOLE, FeatureExtractor, ImageFeatures
from indexer.features.pooling import pool, pool_boxes
from indexer.features.preprocess import crop, input_size
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import PcaProjection
from indexer.features.windows import receptive_fields, to_regions
from tests.colour_grid import GRID, ColourGridEngine, colour_extractor, region_spec
from tests.features import describe, lowest_cosine
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


def test_a_view_keeps_colours_and_shape() -> None:
    view = colour_extractor().view(np.asarray(Image.new("RGB", (900, 600), ORANGE)), 64)
    assert view.boxes.tolist() == WHOLE.tolist()
    assert view.pixels.shape in ((64, 64, 3), (64, 96, 3))
    assert view.pixels.dtype == np.uint8
    assert (view.pixels == ORANGE).all()


def test_a_view_lays_windows_out_on_the_input_of_the_network() -> None:
    extractor = colour_extractor(spec=region_spec())
    picture = np.asarray(Image.new("RGB", (500, 500), RED))
    for layout in (region_spec().layout, region_spec(aspects=(0.5, 2)).layout):
        expected = layout.boxes(64, 64)
        assert extractor.view(picture, 64, layout).boxes.tolist() == expected.tolist()
        assert extractor.view(picture, 64, expected).boxes.tolist() == expected.tolist()


@pytest.mark.parametrize("size", [(500, 500), (512, 128)])
def test_the_boxes_of_the_grid_are_what_its_windows_respond_to(size: tuple[int, int]) -> None:
    spec = region_spec()
    extractor = colour_extractor(spec=spec)
    picture = Image.new("RGB", size, RED)
    view = extractor.view(np.asarray(picture), spec.size_px, spec.layout)
    height, width = view.pixels.shape[:2]
    expected = receptive_fields(view.boxes, width // 32, height // 32)
    [features] = describe(extractor, [picture])
    np.testing.assert_array_equal(features.boxes, expected)
    np.testing.assert_array_equal(extractor.receptive_fields(view), expected)


def test_a_crop_is_the_part_of_the_picture_in_a_box() -> None:
    picture = noise(1, 256, 128)
    boxes = region_spec().layout.boxes(256, 128)
    assert len(boxes) > 4
    for box, region in zip(boxes, to_regions(boxes, 256, 128), strict=True):
        found, expected = crop(picture, box), picture[region.y0 : region.y1, region.x0 : region.x1]
        # Pixels that a box cuts are kept.
        assert 0 <= found.shape[0] - expected.shape[0] <= 2
        assert 0 <= found.shape[1] - expected.shape[1] <= 2
        np.testing.assert_allclose(found.mean((0, 1)), expected.mean((0, 1)), atol=6)
    np.testing.assert_array_equal(crop(picture, WHOLE[0]), picture)


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 0), (1, 1, 1, 1), (0.5, 0.5, 0.5, 0.5), (0.999, 0, 1, 1)]
)
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (20_000, 1)])
def test_a_crop_has_at_least_one_pixel(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> None:
    assert crop(noise(1, *size), np.array(box, np.float32)).size > 0


class RecordingEngine(ColourGridEngine):
    """Keeps the images that come through."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[Pixels] = []

    def activate(self, image: Pixels) -> Activations:
        self.images.append(image)
        return super().activate(image)


def test_the_sliding_scheme_forwards_every_window_by_itself() -> None:
    picture = quadrants(256, 128)
    engine, spec = RecordingEngine(), region_spec("sliding", crop_px=32)
    [features] = describe(colour_extractor(engine, spec), [picture])
    whole, *crops = engine.images
    boxes = spec.layout.boxes(whole.shape[1], whole.shape[0])
    assert features.boxes.tolist() == boxes.tolist()
    assert boxes[0].tolist() == [0, 0, 1, 1]
    assert engine.runs == 1 + len(boxes)
    assert len(boxes) > 4
    for pixels, region in zip(crops, to_regions(boxes, 256, 128), strict=True):
        cut = picture.crop(region.as_tuple())
        assert (pixels.shape[1], pixels.shape[0]) == input_size(
            *cut.size, 32, BACKBONES["efficientnet_lite0"]
        )
        means = [np.asarray(p).mean(axis=(0, 1)) for p in (pixels, cut)]
        np.testing.assert_allclose(means[0], means[1], atol=6)
    for row, pixels in enumerate(crops):
        activations = engine.activate(pixels)
        expected = unit_vector(activations["fc"])
        np.testing.assert_allclose(features.vectors["region_fc"][row], expected, atol=1e-6)
        expected = unit_vector(pool_boxes(activations["head"], WHOLE)[0])
        np.testing.assert_allclose(features.vectors["region"][row], expected, atol=1e-6)


@pytest.mark.parametrize("regions", ["none", "grid"])
def test_other_schemes_forward_an_image_once(regions: str) -> None:
    engine = ColourGridEngine()
    assert len(describe(colour_extractor(engine, region_spec(regions)), [quadrants()] * 3)) == 3
    assert engine.runs == 3


@pytest.mark.parametrize("regions", ["none", "grid", "sliding"])
def test_there_are_vectors_of_every_kind_and_no_others(regions: str) -> None:
    spec = region_spec(regions)
    [features] = describe(colour_extractor(spec=spec), [quadrants()])
    assert list(features.vectors) == [kind.name for kind in spec.kinds]
    for kind in spec.kinds:
        rows = 1 if kind.scope == "image" else len(features.boxes)
        assert len(features.vectors[kind.name]) == rows
    assert (len(features.boxes) == 0) == (regions == "none")


def test_spec_and_adaptation_go_together() -> None:
    pca = PcaProjection(np.zeros(6, np.float32), np.eye(6, dtype=np.float32))
    with pytest.raises(ValueError, match="adaptation"):
        FeatureExtractor(region_spec(), inference=ColourGridEngine(), adaptation=pca)
    adapted = region_spec(adaptation="0123456789abcdef")
    with pytest.raises(ValueError, match="adaptation"):
        FeatureExtractor(adapted, inference=ColourGridEngine())
    extractor = FeatureExtractor(adapted, inference=ColourGridEngine(), adaptation=pca)
    [features] = describe(extractor, [quadrants()])
    [plain] = describe(colour_extractor(spec=region_spec()), [quadrants()])
    np.testing.assert_allclose(features.vectors["region"], plain.vectors["region"], atol=1e-6)


def test_the_fake_ranks_as_a_person_would() -> None:
    red, orange, blue = describe(
        colour_extractor(), [Image.new("RGB", (32, 32), colour) for colour in (RED, ORANGE, BLUE)]
    )
    assert lowest_cosine(red, orange, "conv") > lowest_cosine(red, blue, "conv")


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1, 1), (20_000, 1), (37, 900)])
def test_vectors_are_unit_float32(lite0: FeatureExtractor, size: tuple[int, int]) -> None:
    [features] = describe(lite0, [image(1, *size)])
    shapes = {"conv": (1, 1280), "fc": (1, 1000), "region": (len(features.boxes), 384)}
    assert {kind: vectors.shape for kind, vectors in features.vectors.items()} == shapes
    for vectors in features.vectors.values():
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert features.boxes[0].tolist() == [0, 0, 1, 1]
    assert features.boxes.dtype == np.float32


def test_what_is_beside_an_image_never_changes_its_vectors(lite0: FeatureExtractor) -> None:
    images = [photo(name) for name in PHOTOS]
    images += [image(seed, 200 + 60 * seed, 300) for seed in range(6)]
    together = describe(lite0, images)
    backwards = describe(lite0, images[::-1])[::-1]
    for image_, one, other in zip(images, together, backwards, strict=True):
        [alone] = describe(lite0, [image_])
        for features in (one, other):
            np.testing.assert_array_equal(features.boxes, alone.boxes)
            for kind, vectors in alone.vectors.items():
                np.testing.assert_array_equal(features.vectors[kind], vectors)


@pytest.mark.parametrize("pooling", ["spoc", "gem"])
def test_vectors_are_pooled_from_the_activations(lite0: FeatureExtractor, pooling: str) -> None:
    spec = FeatureSpec.create(pooling=pooling, gem_p=2, region_taps=lite0.spec.region_taps)
    extractor = FeatureExtractor(spec, inference=lite0.inference)
    picture = photo("coffee")
    view = extractor.view(np.asarray(picture), spec.size_px, spec.layout)
    [activations] = activations_of(lite0.inference, [view.pixels])
    [features] = describe(extractor, [picture])
    expected = unit_vector(pool(activations["head"], spec.pooling, 2))
    np.testing.assert_allclose(features.vectors["conv"][0], expected, atol=1e-6)
    np.testing.assert_allclose(features.vectors["fc"][0], unit_vector(activations["fc"]), atol=1e-6)
    regions = extractor.region_vectors(activations, view.boxes)
    np.testing.assert_array_equal(features.vectors["region"], regions)
    [described] = extractor.describe_views([view])
    np.testing.assert_array_equal(described, regions)


def test_the_parts_of_a_score_add_up_to_it(lite0: FeatureExtractor) -> None:
    view = lite0.view(np.asarray(photo("coffee")), 224, lite0.spec.layout)
    [activations] = activations_of(lite0.inference, [view.pixels])
    vectors = lite0.region_vectors(activations, view.boxes)
    query = vectors[3]
    for row in (0, 3, len(vectors) - 1):
        pooled: dict[str, FloatArray] = {
            tap: pool_boxes(activations[tap], view.boxes[row : row + 1])[0]
            for tap in lite0.spec.region_taps
        }
        parts, offset = lite0.attribute_score(pooled, query)
        assert {tap: part.shape for tap, part in parts.items()} == {
            tap: values.shape for tap, values in pooled.items()
        }
        total = sum(float(part.sum()) for part in parts.values()) + offset
        assert total == pytest.approx(float(vectors[row] @ query), abs=1e-4)


def test_no_images_no_features(lite0: FeatureExtractor) -> None:
    assert lite0.extract([]) == []


class SilentEngine(ColourGridEngine):
    """Activates nothing in black cells, and overflows for a white picture."""

    def activate(self, image: Pixels) -> Activations:
        if image.min() == 255:
            return {tap: np.full_like(a, np.inf) for tap, a in super().activate(image).items()}
        maps = super().activate(image)[self.conv]
        silent = (maps[:3] == 0).all(axis=0)
        maps[:, silent] = 0
        return {self.conv: maps, self.fc: maps.reshape(-1)}


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255)])
@pytest.mark.parametrize("regions", ["none", "grid", "sliding"])
def test_an_image_without_direction_has_an_error_in_its_place(
    colour: tuple[int, int, int], regions: str
) -> None:
    extractor = colour_extractor(SilentEngine(), region_spec(regions))
    red, odd = (Image.new("RGB", (8, 8), c) for c in (RED, colour))
    first, error, last = extractor.extract([red, odd, red])
    assert isinstance(first, ImageFeatures)
    assert isinstance(last, ImageFeatures)
    assert isinstance(error, DegenerateFeatureError)
    assert "no direction" in str(error)
    np.testing.assert_array_equal(first.vectors["conv"], last.vectors["conv"])


@pytest.mark.parametrize("regions", ["grid", "sliding"])
def test_windows_without_activations_are_left_out(regions: str) -> None:
    """A picture whose right half is black has no vectors of windows that lie in it."""
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :32] = RED
    spec = region_spec(regions, overlap=0.0)
    [features] = describe(colour_extractor(SilentEngine(), spec), [picture])
    assert len(spec.layout.boxes(64, 64)) == 5
    assert len(features.boxes) == 3  # all of it, and the two quarters on the left
    assert features.boxes[1:, 0].tolist() == [0, 0]
    for kind in spec.kinds_of("region"):
        vectors = features.vectors[kind.name]
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        assert len(vectors) == 3


def test_an_image_whose_regions_are_all_silent_is_an_error() -> None:
    class OnlyFc(ColourGridEngine):
        """Activations that are negative everywhere but in the fc tap."""

        def activate(self, image: Pixels) -> Activations:
            return super().activate(image) | {"head": np.full((6, GRID, GRID), -1, np.float32)}

    for regions in ("grid", "sliding"):
        extractor = colour_extractor(OnlyFc(), region_spec(regions))
        [error] = extractor.extract([quadrants()])
        assert isinstance(error, DegenerateFeatureError)
        assert "no activations" in str(error)


# What the default network sees in photographs whose content is known (ImageNet classes).
KNOWN = {
    "chelsea": {281, 282, 283, 285},  # tabby, tiger, Persian and Egyptian cat
    "coffee": {504, 967, 968},  # coffee mug, espresso, cup
}


@pytest.mark.parametrize("name", KNOWN)
def test_the_default_network_knows_what_it_sees(lite0: FeatureExtractor, name: str) -> None:
    [features] = describe(lite0, [photo(name)])
    assert int(features.vectors["fc"].argmax()) in KNOWN[name]
