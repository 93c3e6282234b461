"""The torch engine: half precision on a GPU; float32, the reference, on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch

from indexer.arrays import Pixels
from indexer.features.backbones import Backbone
from indexer.features.engines.protocols import Activations, T
from indexer.features.networks import build_network

GPU_BATCH = 8


class TorchEngine:
    """Runs the backbone in torch, float16 on a GPU, else float32; see `InferenceEngine`.

    A batch always has the same number of images of one shape, the last one filled up with black:
    another number would choose other kernels, which round differently. On a CPU that number is 1.
    Threads take turns: the network keeps the activations that pass its taps.
    """

    def __init__(
        self, backbone: Backbone, taps: Sequence[str], *, precision: torch.dtype | None = None
    ) -> None:
        self.taps = list(taps)
        self._turn = threading.Lock()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        on_gpu = self.device.type == "cuda"
        self.batch = GPU_BATCH if on_gpu else 1
        self.precision = precision or (torch.float16 if on_gpu else torch.float32)
        network = build_network(backbone, taps)
        network = network.to(device=self.device, dtype=self.precision)
        self.network = network.to(memory_format=torch.channels_last)
        kind = torch.cuda.get_device_name() if on_gpu else "cpu"
        self.description = f"torch {torch.__version__}, {kind}, {str(self.precision)[6:]}"

    def run(self, images: Sequence[Pixels], use: Callable[[int, Activations], T]) -> list[T]:
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for place, image in enumerate(images):
            by_shape.setdefault(image.shape, []).append(place)
        results: dict[int, T] = {}
        for places in by_shape.values():
            for start in range(0, len(places), self.batch):
                part = places[start : start + self.batch]
                outputs = self._forward([images[place] for place in part])
                for row, place in enumerate(part):
                    maps = (output[row] for output in outputs)
                    results[place] = use(place, dict(zip(self.taps, maps, strict=True)))
        return [results[place] for place in range(len(images))]

    def _forward(self, images: Sequence[Pixels]) -> list[np.ndarray]:
        batch = np.zeros((self.batch, *images[0].shape), np.uint8)
        batch[: len(images)] = images
        with self._turn, torch.inference_mode():
            outputs = self.network(torch.from_numpy(batch).to(self.device))
        return [output.float().cpu().numpy() for output in outputs]
