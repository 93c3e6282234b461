from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from indexer.arrays import Pixels
from retrieval.evaluation import scratch
from retrieval.evaluation.scratch import (
    Architecture,
    Schedule,
    augment,
    build_untrained,
    masked_loss,
    train_from_scratch,
)

QUICK = Schedule(epochs=30, batch=8, side_px=16)
COUNT = 48


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that a test can train: the mean of 16 filters."""

    def build(_: str, classes: int) -> nn.Module:
        maps = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        return nn.Sequential(maps, nn.Flatten(), nn.Linear(16, classes))

    monkeypatch.setattr(scratch, "build_untrained", build)


@pytest.fixture
def coloured() -> tuple[Pixels, np.ndarray, np.ndarray]:
    """Noise that is rather red or rather blue, the class of each, and the training part."""
    random = np.random.default_rng(0)
    images = random.integers(0, 120, (COUNT, 20, 20, 3), dtype=np.uint8)
    is_red = np.arange(COUNT) % 2 == 0
    images[is_red, :, :, 0] += 100
    images[~is_red, :, :, 2] += 100
    labels = np.stack([is_red, ~is_red], axis=1).astype(np.int8)
    return images, labels, np.arange(COUNT) < COUNT // 2


@pytest.mark.usefixtures("small")
def test_it_learns_from_the_training_part(
    coloured: tuple[Pixels, np.ndarray, np.ndarray],
) -> None:
    images, labels, is_train = coloured
    found = train_from_scratch(images, labels, is_train, "vgg16", QUICK)
    right = found.scores.argmax(axis=1) == labels.argmax(axis=1)
    assert right[~is_train].mean() > 0.9
    assert (found.device, found.scores.shape) == ("CPU", (COUNT, 2))
    assert found.elapsed_s > 0


@pytest.mark.usefixtures("small")
def test_labels_of_the_test_part_change_nothing(
    coloured: tuple[Pixels, np.ndarray, np.ndarray],
) -> None:
    images, labels, is_train = coloured
    other = labels.copy()
    other[~is_train] = 1 - other[~is_train]
    schedule = Schedule(epochs=2, batch=8, side_px=16)
    first, second = (
        train_from_scratch(images, given, is_train, "vgg16", schedule).scores
        for given in (labels, other)
    )
    assert np.array_equal(first, second)


@pytest.mark.usefixtures("small")
def test_shuffled_labels_teach_nothing(coloured: tuple[Pixels, np.ndarray, np.ndarray]) -> None:
    images, labels, is_train = coloured
    half = np.repeat([[1, 0], [0, 1]], COUNT // 2, axis=0).astype(np.int8)
    half[: COUNT // 2] = np.tile([[1, 0], [1, 0], [0, 1], [0, 1]], (COUNT // 8, 1))
    found = train_from_scratch(images, half, is_train, "vgg16", QUICK)
    gaps = found.scores[:, 0] - found.scores[:, 1]
    is_red = labels[:, 0] == 1
    apart = abs(gaps[is_red].mean() - gaps[~is_red].mean())
    told = train_from_scratch(images, labels, is_train, "vgg16", QUICK).scores
    learnt = told[:, 0] - told[:, 1]
    assert apart < 0.3 * abs(learnt[is_red].mean() - learnt[~is_red].mean())


def test_what_is_not_counted_has_no_loss() -> None:
    logits = torch.tensor([[2.0, -3.0], [0.5, 9.0]])
    targets = torch.tensor([[1, 0], [0, -1]], dtype=torch.int8)
    by_hand = -torch.log(torch.sigmoid(torch.tensor([2.0, 3.0, -0.5]))).mean()
    assert masked_loss(logits, targets).item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert masked_loss(logits, torch.full((2, 2), -1, dtype=torch.int8)).item() == 0


def test_crops_are_of_the_image_and_differ() -> None:
    torch.manual_seed(0)
    ramp = torch.arange(40, dtype=torch.uint8).repeat(40, 1)
    images = torch.stack([ramp, ramp, 5 * ramp], dim=-1)[None].repeat(6, 1, 1, 1)
    crops = augment(images, 24)
    assert crops.shape == (6, 3, 24, 24)
    assert torch.isfinite(crops).all()
    assert len({round(float(crop.sum()), 3) for crop in crops}) == 6


@pytest.mark.parametrize("architecture", ["vgg16", "efficientnet_lite0"])
def test_the_networks_have_random_weights_and_a_score_for_each_class(
    architecture: Architecture,
) -> None:
    first, second = (build_untrained(architecture, 3).eval() for _ in range(2))
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        scores: list[Tensor] = [first(image), second(image)]
    assert [s.shape for s in scores] == [(1, 3)] * 2
    assert not torch.equal(*scores)
