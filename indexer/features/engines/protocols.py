"""InferenceEngine: images in, activations at the taps out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from indexer.arrays import FloatArray, Pixels

Activations = dict[str, FloatArray]
"""By tap: conv (channels, h, w) and fc (channels,), float32."""
T = TypeVar("T")


class InferenceEngine(Protocol):
    """Runs a backbone up to its taps; threads may share it.

    `run` takes RGB images (H, W, 3) uint8 of any sizes that the backbone allows, and returns, in
    order, what `use` makes of each image's place in `images` and its activations. `use` may be
    called from several threads at once. The activations of an image are bit-identical whatever
    runs beside it, before it or in another thread.
    """

    description: str

    def run(self, images: Sequence[Pixels], use: Callable[[int, Activations], T]) -> list[T]: ...


def activations_of(engine: InferenceEngine, images: Sequence[Pixels]) -> list[Activations]:
    """Return the activations of images, in order."""
    return engine.run(images, lambda _, activations: activations)
