"""The torch engine: half precision on a GPU, float32 and the reference on a CPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch

from indexer.features.backbones import Backbone
from indexer.features.engine import Activations, T
from indexer.features.networks import build_network
from indexer.images import Pixels

BATCH = 16


class TorchEngine:
    """Runs the backbone in torch, images of like shape together; see `InferenceEngine`.

    Unless a precision is given it is float16 on a GPU, else float32. Threads take turns: the
    network notes what passes its taps.
    """

    batched = True

    def __init__(
        self, backbone: Backbone, taps: Sequence[str], *, precision: torch.dtype | None = None
    ) -> None:
        self.taps = list(taps)
        self._turn = threading.Lock()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        fast = torch.float16 if self.device.type == "cuda" else torch.float32
        self.precision = precision or fast
        network = build_network(backbone, taps)
        network = network.to(device=self.device, dtype=self.precision)
        self.network = network.to(memory_format=torch.channels_last)
        kind = torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"
        self.description = f"torch {torch.__version__}, {kind}, {str(self.precision)[6:]}"

    def run(self, images: Sequence[Pixels]) -> list[Activations]:
        results: list[Activations] = [{} for _ in images]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for i, image in enumerate(images):
            by_shape.setdefault(image.shape, []).append(i)
        for members in by_shape.values():
            for start in range(0, len(members), BATCH):
                chunk = members[start : start + BATCH]
                outputs = self._forward(np.stack([images[i] for i in chunk]))
                for row, i in enumerate(chunk):
                    results[i] = {
                        tap: maps[row] for tap, maps in zip(self.taps, outputs, strict=True)
                    }
        return results

    def apply(
        self,
        images: Sequence[Pixels],
        use: Callable[[int, Activations], T],
        *,
        # Makes no difference here: `use` comes from the caller's thread anyway.
        in_turn: bool = False,  # noqa: ARG002
    ) -> list[T]:
        return [use(i, activations) for i, activations in enumerate(self.run(images))]

    def _forward(self, batch: Pixels) -> list[np.ndarray]:
        with self._turn, torch.inference_mode():
            outputs = self.network(torch.from_numpy(batch).to(self.device))
        return [output.float().cpu().numpy() for output in outputs]
