"""Dense SIFT, bags of words and Fisher vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.arrays import Pixels
from retrieval.evaluation import handcrafted
from retrieval.evaluation.dense_sift import DIMENSION, describe_densely
from retrieval.evaluation.handcrafted import (
    bags_of_words,
    colour_histograms,
    fisher_vectors,
)
from tests.pictures import plain


def stripes(angle: float, side: int = 64, period: float = 9.0) -> Pixels:
    """Return a picture of stripes across an angle in radians."""
    y, x = np.mgrid[:side, :side]
    waves = 127.5 + 120 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period)
    return np.repeat(waves.astype(np.uint8)[:, :, None], 3, axis=2)


def test_descriptors_have_unit_length_and_lie_inside() -> None:
    found = describe_densely(stripes(0.3), 8)
    assert found.vectors.shape == (len(found.centres), DIMENSION)
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1, atol=1e-5)  # the root of an L1
    assert (found.centres > 0).all()
    assert (found.centres < 1).all()


def test_a_gradient_falls_into_its_orientation() -> None:
    # Stripes along x have gradients to the right and to the left only: orientations 0 and 4.
    vectors = describe_densely(stripes(0.0), 8, (4,)).vectors.reshape(-1, 16, 8)
    shares = (vectors**2).sum(axis=(0, 1)) / (vectors**2).sum()
    assert shares[[0, 4]].sum() > 0.95
    turned = describe_densely(stripes(np.pi / 2), 8, (4,)).vectors.reshape(-1, 16, 8)
    shares = (turned**2).sum(axis=(0, 1)) / (turned**2).sum()
    assert shares[[2, 6]].sum() > 0.95


def test_a_descriptor_is_of_its_place() -> None:
    image = np.full((96, 96, 3), 128, np.uint8)
    image[:48, :48] = stripes(0.0, 48)
    found = describe_densely(image, 8, (4,))
    at_stripes = (found.centres < 0.3).all(axis=1)
    at_nothing = (found.centres > 0.75).all(axis=1)
    assert np.linalg.norm(found.vectors[at_stripes], axis=1).min() > 0.9
    assert not found.vectors[at_nothing].any()


def test_brightness_and_contrast_change_little() -> None:
    image = stripes(0.7)
    darker = (image * 0.5 + 20).astype(np.uint8)
    first, second = (describe_densely(i, 8).vectors for i in (image, darker))
    assert (first * second).sum(axis=1).min() > 0.99


def test_an_image_smaller_than_its_bins_has_none() -> None:
    assert len(describe_densely(stripes(0, 8), 4).vectors) == 0


@pytest.fixture
def textures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Path], np.ndarray]:
    """Two kinds of stripes, half of each for training, and small vocabularies."""
    from PIL import Image

    monkeypatch.setattr(handcrafted, "WORDS", 8)
    monkeypatch.setattr(handcrafted, "GAUSSIANS", 4)
    paths = []
    for number in range(12):
        path = tmp_path / f"{number}.png"
        angle = (number % 2) * np.pi / 4 + 0.02 * number
        Image.fromarray(stripes(angle, 96, 8 + number % 3)).save(path)
        paths.append(path)
    return paths, np.arange(12) < 6


@pytest.mark.parametrize(
    ("describe", "length"), [(bags_of_words, 8 * 8), (fisher_vectors, 8 * 4 * 161)]
)
def test_kinds_of_textures_are_told_apart(
    describe: object, length: int, textures: tuple[list[Path], np.ndarray]
) -> None:
    assert callable(describe)
    paths, is_train = textures
    found = describe(paths, is_train)
    assert found.vectors.shape == (12, length)
    similar = found.vectors @ found.vectors.T
    kinds = np.arange(12) % 2
    for row in range(6, 12):
        order = [i for i in np.argsort(-similar[row]) if i != row]
        assert kinds[order[0]] == kinds[row]


def test_the_vocabulary_is_learned_from_training_images_alone(
    textures: tuple[list[Path], np.ndarray], tmp_path: Path
) -> None:
    paths, is_train = textures
    other = [*paths[:-1], plain(tmp_path / "other.png", (200, 30, 30), (96, 96))]
    first, second = (bags_of_words(given, is_train).vectors for given in (paths, other))
    assert np.array_equal(first[:-1], second[:-1])


def test_an_image_that_cannot_be_read_is_zero_and_named(
    textures: tuple[list[Path], np.ndarray], tmp_path: Path
) -> None:
    paths, is_train = textures
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    for describe in (bags_of_words, fisher_vectors, colour_histograms):
        found = describe([*paths, broken], np.append(is_train, True))
        assert not found.vectors[-1].any()
        assert found.vectors[:-1].any(axis=1).all()
        assert [path for path, _ in found.failed] == [str(broken)]
