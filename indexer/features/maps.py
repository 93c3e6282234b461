"""Maps that an engine handed out, pooled by numpy."""

from __future__ import annotations

from dataclasses import dataclass

from indexer.features.engine import Activations, KeptMaps
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

    def before_fc(self) -> FloatArray:
        return self.activations[self.spec.fc]

    def rows(self) -> dict[str, FloatArray]:
        return {tap: pool_boxes(self.activations[tap], self.boxes) for tap in self.spec.region_taps}

    def kept(self) -> KeptMaps:
        return KeptMaps(self.conv(), self.before_fc().copy(), self.rows())
