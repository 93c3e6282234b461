"""Maps that an engine handed out, pooled by numpy, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass

from indexer.features.engine import Activations, PooledMaps
from indexer.features.pooling import FloatArray, pool
from indexer.features.spec import FeatureSpec
from indexer.features.windows import Boxes, pool_boxes


@dataclass(frozen=True)
class ActivatedMaps:
    """The maps of an image, to be pooled by numpy; see `PooledMaps`."""

    activations: Activations
    boxes: Boxes
    spec: FeatureSpec

    def conv(self) -> FloatArray:
        return pool(self.activations[self.spec.conv], self.spec.pooling, self.spec.gem_p)

    def fc(self) -> FloatArray:
        return self.activations[self.spec.fc]

    def rows(self) -> dict[str, FloatArray]:
        return {tap: pool_boxes(self.activations[tap], self.boxes) for tap in self.spec.region_taps}

    def kept(self) -> PooledMaps:
        return KeptMaps(self.conv(), self.fc().copy(), self.rows())


@dataclass(frozen=True)
class KeptMaps:
    """Pooled activations; see `PooledMaps`."""

    own_conv: FloatArray
    own_fc: FloatArray
    own_rows: dict[str, FloatArray]

    def conv(self) -> FloatArray:
        return self.own_conv

    def fc(self) -> FloatArray:
        return self.own_fc

    def rows(self) -> dict[str, FloatArray]:
        return self.own_rows

    def kept(self) -> PooledMaps:
        return self
