"""FeatureSpec: what a vector is, so that only like is compared with like."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from indexer.errors import FeatureError, SpecMismatchError
from indexer.features.backbones import DEFAULT_BACKBONE, get_backbone
from indexer.features.pooling import POOLINGS, Pooling


@dataclass(frozen=True)
class FeatureSpec:
    """Everything that decides what the vectors of a store mean.

    `size_px` is the side of a square of the network input's area: a photo keeps its aspect ratio
    and is resized to about `size_px`² pixels. `gem_p` is the exponent of GeM and unused otherwise.
    Which engine computes the vectors is not part of it: engines agree.
    """

    backbone: str = DEFAULT_BACKBONE
    weights: str = ""
    conv: str = ""
    fc: str = ""
    pooling: Pooling = "rmac"
    gem_p: float = 3.0
    size_px: int = 256

    @classmethod
    def create(cls, backbone: str = DEFAULT_BACKBONE, **choices: Any) -> FeatureSpec:
        """Make a spec with what is not chosen filled in from the backbone, and check it.

        Raises `UnknownBackboneError` for names that do not exist and `FeatureError` for values
        out of range.
        """
        network = get_backbone(backbone)
        spec = cls(backbone=backbone, weights=network.weights)
        given = {name: value for name, value in choices.items() if value is not None}
        if "gem_p" in given:
            given["gem_p"] = float(given["gem_p"])
        spec = dataclasses.replace(
            spec, **({"conv": network.default_conv, "fc": network.default_fc} | given)
        )
        for kind, name in (("conv", spec.conv), ("fc", spec.fc)):
            if network.tap(name).kind != kind:
                raise FeatureError(f"{name} of {backbone} is no {kind} tap.")
        if spec.pooling not in POOLINGS:
            raise FeatureError(
                f"There is no pooling {spec.pooling!r}; choose from {', '.join(POOLINGS)}."
            )
        if not network.min_size_px <= spec.size_px <= 4096:
            raise FeatureError(
                f"The input size must be {network.min_size_px} to 4096 pixels for {backbone}, "
                f"not {spec.size_px}."
            )
        if not 1 <= spec.gem_p <= 1000:
            raise FeatureError(f"GeM needs an exponent of 1 to 1000, not {spec.gem_p}.")
        return spec

    def to_json(self) -> str:
        """Return canonical JSON: sorted keys, no white space."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FeatureSpec:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def require_same(self, other: FeatureSpec, *, where: str) -> None:
        """Raise `SpecMismatchError` naming the fields that differ from those of the store."""
        ours, theirs = dataclasses.asdict(self), dataclasses.asdict(other)
        differing = [name for name in ours if ours[name] != theirs[name]]
        if differing:
            built = ", ".join(f"{name}={ours[name]}" for name in differing)
            asked = ", ".join(f"{name}={theirs[name]}" for name in differing)
            raise SpecMismatchError(
                f"The store at {where} was built with {built}, but {asked} was asked for. "
                "Leave those options out, or rebuild it with cbir index --rebuild."
            )
