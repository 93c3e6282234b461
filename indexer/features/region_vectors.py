"""RegionProjection: the pooled vectors of windows, by tap, to the region vectors of a spec."""

from __future__ import annotations

import math
from functools import cached_property
from threading import Lock

import numpy as np

from indexer.arrays import FloatArray, cosines, unit_rows
from indexer.features.compiled_whitening import CompiledWhitening
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import PcaProjection, Whitening, shipped_whitening


class RegionProjection:
    """Joins the vectors of the region taps, by the whitening and the adaptation of a spec.

    Raises `ValueError` where the adaptation given is not the spec's, and `FeatureError` where this
    version of cbir does not have its whitening.
    """

    def __init__(self, spec: FeatureSpec, adaptation: PcaProjection | None) -> None:
        if bool(spec.adaptation) != (adaptation is not None):
            raise ValueError("the adaptation given is not that of the spec")
        self._taps = spec.region_taps
        self._whitening = shipped_whitening(spec.whitening) if spec.whitening else None
        self._adaptation = adaptation
        self._loading = Lock()

    def apply(self, pooled: dict[str, FloatArray]) -> FloatArray:
        """Return the unit vectors (N, E) of pooled vectors (N, C) by tap."""
        if self._whitening is None and self._adaptation is None:
            return self._concatenate(pooled)
        with self._loading:
            compiled = self._compiled
        return compiled.apply(pooled)

    def attribute_score(
        self, pooled: dict[str, FloatArray], vector: FloatArray
    ) -> tuple[dict[str, FloatArray], float]:
        """Split a score among channels, see `FeatureExtractor.attribute_score`."""
        rows = {tap: values[None] for tap, values in pooled.items()}
        score = float(cosines(self.apply(rows), vector)[0])
        gradients = self._vjp(pooled, vector)
        parts = {tap: gradients[tap] * unit_rows(rows[tap])[0] for tap in pooled}
        return parts, score - float(sum(part.sum() for part in parts.values()))

    def _vjp(self, pooled: dict[str, FloatArray], vector: FloatArray) -> dict[str, FloatArray]:
        """Return the gradients (C,) of the score at the unit vectors of the taps."""
        gradient = vector
        if self._adaptation is not None:
            rows = {tap: values[None] for tap, values in pooled.items()}
            gradient = self._adaptation.vjp(self._before_adaptation(rows)[0], vector)
        if self._whitening is not None:
            return self._whitening.vjp(pooled, gradient)
        sizes = np.cumsum([len(values) for values in pooled.values()])[:-1]
        split = np.split(gradient / math.sqrt(len(pooled)), sizes)
        return dict(zip(pooled, split, strict=True))

    def _before_adaptation(self, pooled: dict[str, FloatArray]) -> FloatArray:
        if self._whitening is None:
            return self._concatenate(pooled)
        return self._whitening.apply(pooled)

    def _concatenate(self, pooled: dict[str, FloatArray]) -> FloatArray:
        return unit_rows(np.hstack([unit_rows(pooled[tap]) for tap in self._taps]))

    @cached_property
    def _compiled(self) -> CompiledWhitening:
        whitening: Whitening | None = self._whitening
        return CompiledWhitening(self._taps, whitening, self._adaptation)
