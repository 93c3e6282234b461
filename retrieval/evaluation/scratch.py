"""Training from scratch: the same kind of network from random weights, on the training part alone.

It is what deep features are compared with. Everything runs on one device, augmentation included, so
that a GPU is not kept waiting.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from indexer.arrays import FloatArray, Pixels
from indexer.progress import Progress, no_progress

Architecture = Literal["vgg16", "efficientnet_lite0"]
LabelArray = npt.NDArray[np.int8]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
AREAS = (0.25, 1.0)  # of a training crop, as a share of the image's
ASPECTS = (3 / 4, 4 / 3)
JITTER = 0.4  # by which brightness, contrast and colour are varied
WARM_UP = 0.05  # share of the steps in which the learning rate rises


@dataclass(frozen=True)
class Schedule:
    """How a network is trained: SGD with Nesterov momentum, and a cosine of the learning rate.

    `side_px` is the size of its square inputs.
    """

    epochs: int = 120
    batch: int = 64
    side_px: int = 160
    learning_rate: float = 0.05
    weight_decay: float = 5e-4


@dataclass(frozen=True)
class ScratchResult:
    """The scores (N, C) of all images, after training, and the seconds that it took."""

    scores: FloatArray
    elapsed_s: float
    device: str


def train_from_scratch(
    images: Pixels,
    labels: LabelArray,
    is_train: npt.NDArray[np.bool_],
    architecture: Architecture,
    schedule: Schedule | None = None,
    *,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> ScratchResult:
    """Train a network from random weights and score all images with it.

    `images` (N, S, S, 3) are uint8 RGB, and `labels` (N, C) are 1 for a class that an image shows,
    0 for one that it does not, and -1 where that is not to be counted. Only the rows of `is_train`
    (N,) are trained on. Each class is a problem of its own (binary cross-entropy).
    """
    schedule = schedule or Schedule()
    torch.manual_seed(seed)
    started = time.perf_counter()
    pixels = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    targets = torch.from_numpy(labels).to(device)
    network = build_untrained(architecture, labels.shape[1]).to(device)
    network = network.to(memory_format=torch.channels_last)
    rows = torch.from_numpy(np.flatnonzero(is_train)).to(device)
    _train(network, pixels, targets, rows, schedule, progress)
    scores = _score(network, pixels, schedule)
    return ScratchResult(scores, time.perf_counter() - started, _device_name(device))


def build_untrained(architecture: Architecture, classes: int) -> nn.Module:
    """Return a network with random weights.

    VGG has batch normalisation: without it, it does not train from scratch (Simonyan and Zisserman
    2015 began from a smaller trained one).
    """
    if architecture == "vgg16":
        from torchvision import models

        network: nn.Module = models.vgg16_bn(weights=None, num_classes=classes)
        return network
    import timm

    made: nn.Module = timm.create_model(
        f"tf_{architecture}", pretrained=False, num_classes=classes, drop_rate=0.2
    )
    return made


def _train(
    network: nn.Module,
    pixels: Tensor,
    targets: Tensor,
    rows: Tensor,
    schedule: Schedule,
    progress: Progress,
) -> None:
    steps = schedule.epochs * max(1, len(rows) // schedule.batch)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=schedule.learning_rate,
        momentum=0.9,
        nesterov=True,
        weight_decay=schedule.weight_decay,
    )
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    network.train()
    for step, batch in enumerate(_batches(rows, schedule.batch, steps), 1):
        seen = augment(pixels[batch], schedule.side_px)
        with _mixed_precision(pixels.device):
            logits = network(seen.contiguous(memory_format=torch.channels_last))
        loss = masked_loss(logits.float(), targets[batch])
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        rates.step()
        if step % 20 == 0 or step == steps:
            progress("Training from scratch", step, steps)


def _rate(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step: a linear rise, then half a cosine."""
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))


def _batches(rows: Tensor, size: int, steps: int) -> Iterator[Tensor]:
    """Yield so many batches of rows, each row once an epoch; what is left over waits."""
    done = 0
    size = min(size, len(rows))
    while True:
        order = rows[torch.randperm(len(rows), device=rows.device)]
        for start in range(0, len(rows) - size + 1, size):
            if done == steps:
                return
            yield order[start : start + size]
            done += 1


def masked_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of the labels that count."""
    counts = targets >= 0
    losses = functional.binary_cross_entropy_with_logits(
        logits, targets.clamp(min=0).float(), reduction="none"
    )
    return (losses * counts).sum() / counts.sum().clamp(min=1)


def augment(images: Tensor, side_px: int) -> Tensor:
    """Return random crops (B, 3, side, side) of uint8 images, flipped and varied in colour."""
    count, device = len(images), images.device

    def uniform(low: float, high: float) -> Tensor:
        return torch.empty(count, device=device).uniform_(low, high)

    areas = uniform(*AREAS)
    aspects = torch.exp(uniform(math.log(ASPECTS[0]), math.log(ASPECTS[1])))
    widths, heights = (areas * aspects).sqrt().clamp(max=1), (areas / aspects).sqrt().clamp(max=1)
    flips = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    theta = torch.zeros(count, 2, 3, device=device)
    theta[:, 0, 0], theta[:, 1, 1] = widths * flips, heights
    theta[:, 0, 2] = (1 - widths) * uniform(-1, 1)
    theta[:, 1, 2] = (1 - heights) * uniform(-1, 1)
    whole = images.permute(0, 3, 1, 2).float() / 255  # (B, 3, S, S)
    grid = functional.affine_grid(theta, [count, 3, side_px, side_px], align_corners=False)
    crops = functional.grid_sample(whole, grid, padding_mode="reflection", align_corners=False)
    factors = [uniform(1 - JITTER, 1 + JITTER).view(-1, 1, 1, 1) for _ in range(3)]
    crops = crops * factors[0]
    middle = crops.mean(dim=(1, 2, 3), keepdim=True)
    crops = middle + (crops - middle) * factors[1]
    grey = crops.mean(dim=1, keepdim=True)
    return normalise((grey + (crops - grey) * factors[2]).clamp(0, 1))


def normalise(images: Tensor) -> Tensor:
    """Return images of 0 to 1 with ImageNet's mean and deviation taken out."""
    mean, std = (torch.tensor(v, device=images.device).view(1, 3, 1, 1) for v in (MEAN, STD))
    return (images - mean) / std


@torch.no_grad()
def _score(network: nn.Module, pixels: Tensor, schedule: Schedule) -> FloatArray:
    """Return the mean logits (N, C) of each whole image and its mirror image."""
    network.eval()
    found = []
    for start in range(0, len(pixels), schedule.batch):
        part = pixels[start : start + schedule.batch].permute(0, 3, 1, 2).float() / 255
        part = normalise(functional.interpolate(part, (schedule.side_px,) * 2, mode="area"))
        with _mixed_precision(pixels.device):
            logits = network(part).float() + network(part.flip(3)).float()
        found.append((logits / 2).cpu().numpy())
    return np.concatenate(found).astype(np.float32)


def _mixed_precision(device: torch.device) -> Any:
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device.startswith("cuda") else "CPU"
