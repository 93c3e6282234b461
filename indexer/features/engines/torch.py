"""The torch engine: half precision on a GPU; float32, the reference, on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache

from indexer.arrays import Pixels
from indexer.features.backbones import Backbone
from indexer.features.engines.protocols import Activations, T
from indexer.features.networks import TappedNetwork, build_network

GPU_BATCH = 8
SHAPES = 32  # recorded passes; each keeps what it returns in the GPU's memory, some MB


class TorchEngine:
    """Runs the backbone in torch, float16 on a GPU, else float32; see `InferenceEngine`.

    A batch always has the same number of images of one shape, the last one filled up with black:
    another number would choose other kernels, which round differently. On a CPU that number is 1.
    Threads take turns: the network keeps the activations that pass its taps.

    On a GPU the kernels of a pass are recorded once for each shape and then started all together:
    one by one, each would wait for a turn of its thread.
    """

    def __init__(
        self,
        backbone: Backbone,
        taps: Sequence[str],
        *,
        device: torch.device | None = None,
        precision: torch.dtype | None = None,
    ) -> None:
        self.taps = list(taps)
        self._turn = threading.Lock()
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        on_gpu = self.device.type == "cuda"
        self.batch = GPU_BATCH if on_gpu else 1
        self.precision = precision or (torch.float16 if on_gpu else torch.float32)
        network = build_network(backbone, taps)
        network = network.to(device=self.device, dtype=self.precision)
        self.network = network.to(memory_format=torch.channels_last)
        self._recorded: LRUCache[torch.Size, _RecordedPass] = LRUCache(SHAPES)
        self._pool = torch.cuda.graph_pool_handle() if on_gpu else None
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
                outputs = self._outputs([images[place] for place in part])
                for row, place in enumerate(part):
                    maps = (output[row] for output in outputs)
                    results[place] = use(place, dict(zip(self.taps, maps, strict=True)))
        return [results[place] for place in range(len(images))]

    def _outputs(self, images: Sequence[Pixels]) -> list[np.ndarray]:
        batch = np.zeros((self.batch, *images[0].shape), np.uint8)
        batch[: len(images)] = images
        with self._turn, torch.inference_mode():
            outputs = self.forward(torch.from_numpy(batch).to(self.device))
        return [output.float().cpu().numpy() for output in outputs]

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the activations of a batch (B, H, W, 3) on the device; one thread at a time."""
        if self.device.type != "cuda":
            found: tuple[torch.Tensor, ...] = self.network(batch)
            return found
        recorded = self._recorded.get(batch.shape)
        if recorded is None:
            recorded = self._recorded[batch.shape] = _RecordedPass(self.network, batch, self._pool)
        return recorded.forward(batch)


class _RecordedPass:
    """A forward pass of one shape as a CUDA graph.

    All passes share the memory of `pool` for the activations inside the network: one runs at a
    time.
    """

    def __init__(self, network: TappedNetwork, batch: torch.Tensor, pool: Any) -> None:
        self._input = batch.clone()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has no types there
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            network(self._input)  # libraries prepare themselves, which cannot be recorded
        stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        # Other threads fetch their results meanwhile, which is no part of this pass.
        with torch.cuda.graph(self._graph, pool=pool, capture_error_mode="thread_local"):
            self._outputs = network(self._input)

    def forward(self, batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the activations of a batch of the shape; the next pass leaves them alone."""
        self._input.copy_(batch)
        self._graph.replay()
        return tuple(output.clone() for output in self._outputs)
