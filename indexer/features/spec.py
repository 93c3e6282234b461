"""FeatureSpec: what a vector is, so that only like is compared with like."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

from indexer.errors import FeatureError, SpecMismatchError
from indexer.features.backbones import DEFAULT_BACKBONE, get_backbone
from indexer.features.pooling import POOLINGS, Pooling
from indexer.features.windows import SCHEMES, Scheme, WindowLayout
from indexer.images import RESAMPLINGS, Resampling

# A panorama's long side is at most this many times the short side at the network's input.
MAX_ELONGATION = 16


@dataclass(frozen=True)
class FeatureSpec:
    """Everything that decides what the vectors of a store mean.

    `size_px` is the side of a square of the network input's area: a photo keeps its aspect ratio
    and is resized to about `size_px`² pixels, by `resampling` (see `resize_pixels`). `gem_p` is
    the exponent of GeM and unused otherwise.

    `regions` is the scheme of the windows, `scales`, `aspects` and `overlap` their layout (see
    `WindowLayout`), `region_taps` the conv taps whose pooled vectors describe a window,
    `whitening` the digest of the whitening that joins them, `adaptation` that of a second one
    learned from the collection; both are empty where there is none. `crop_px` is the input size
    of a window in the sliding scheme.

    Which engine computes the vectors is not part of it: engines agree.
    """

    backbone: str = DEFAULT_BACKBONE
    weights: str = ""
    conv: str = ""
    fc: str = ""
    pooling: Pooling = "rmac"
    gem_p: float = 3.0
    size_px: int = 320
    resampling: Resampling = "linear"
    regions: Scheme = "grid"
    scales: tuple[float, ...] = (0.7, 0.47, 0.31)
    aspects: tuple[float, ...] = (1.0,)
    overlap: float = 0.45
    crop_px: int = 160
    region_taps: tuple[str, ...] = ()
    whitening: str = ""
    adaptation: str = ""

    @classmethod
    def create(cls, backbone: str = DEFAULT_BACKBONE, **choices: Any) -> FeatureSpec:
        """Make a spec with what is not chosen filled in from the backbone, and check it.

        Raises `UnknownBackboneError` for names that do not exist and `FeatureError` for values
        out of range.
        """
        network = get_backbone(backbone)
        spec = cls(backbone=backbone, weights=network.weights)
        given = {name: value for name, value in choices.items() if value is not None}
        for name in ("gem_p", "overlap"):
            if name in given:
                given[name] = float(given[name])
        for name in ("scales", "aspects"):
            if name in given:
                given[name] = tuple(float(value) for value in given[name])
        filled: dict[str, Any] = {"conv": network.default_conv, "fc": network.default_fc} | given
        scheme = filled.get("regions", spec.regions)
        if scheme != "none" and "region_taps" not in given:
            filled["region_taps"] = network.region_taps or (filled["conv"],)
            if scheme in network.whitenings:
                filled.setdefault("whitening", network.whitenings[scheme])
        spec = dataclasses.replace(spec, **filled)
        spec.check()
        return spec

    def check(self) -> None:
        """Raise `FeatureError` where a value is out of range."""
        network = get_backbone(self.backbone)
        taps = [("conv", self.conv), ("fc", self.fc), *(("conv", t) for t in self.region_taps)]
        for kind, name in taps:
            if network.tap(name).kind != kind:
                raise FeatureError(f"{name} of {self.backbone} is no {kind} tap.")
        if self.resampling not in RESAMPLINGS:
            raise FeatureError(
                f"There is no resampling {self.resampling!r}; choose from {', '.join(RESAMPLINGS)}."
            )
        if self.pooling not in POOLINGS:
            raise FeatureError(
                f"There is no pooling {self.pooling!r}; choose from {', '.join(POOLINGS)}."
            )
        for name, size in (("input", self.size_px), ("crop", self.crop_px)):
            if not network.min_size_px <= size <= 4096:
                raise FeatureError(
                    f"The {name} size must be {network.min_size_px} to 4096 pixels for "
                    f"{self.backbone}, not {size}."
                )
        if not 1 <= self.gem_p <= 1000:
            raise FeatureError(f"GeM needs an exponent of 1 to 1000, not {self.gem_p}.")
        if self.regions not in SCHEMES:
            raise FeatureError(
                f"There is no region scheme {self.regions!r}; choose from {', '.join(SCHEMES)}."
            )
        if not self.scales or not all(0.05 <= scale <= 1 for scale in self.scales):
            raise FeatureError(f"Window scales must be 0.05 to 1, not {self.scales}.")
        if not self.aspects or not all(0.1 <= aspect <= 10 for aspect in self.aspects):
            raise FeatureError(f"Window aspects must be 0.1 to 10, not {self.aspects}.")
        if not 0 <= self.overlap <= 0.9:
            raise FeatureError(f"The overlap must be 0 to 0.9, not {self.overlap}.")

    @property
    def layout(self) -> WindowLayout:
        """The layout of the windows."""
        return WindowLayout(self.scales, self.aspects, self.overlap)

    @property
    def taps(self) -> tuple[str, ...]:
        """Every tap that is read, once."""
        return tuple(dict.fromkeys((self.conv, self.fc, *self.region_taps)))

    @property
    def longest_side_px(self) -> float:
        """The longest side of anything that enters the network when photos are indexed."""
        return max(self.size_px, self.crop_px) * math.sqrt(MAX_ELONGATION)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of vectors that a store of this spec holds."""
        by_scheme = {
            "none": (),
            "grid": ("region",),
            "sliding": ("region", "region_fc"),
        }
        return ("conv", "fc", *by_scheme[self.regions])

    def to_json(self) -> str:
        """Return canonical JSON: sorted keys, no white space."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FeatureSpec:
        """Read what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        if not isinstance(values, dict):
            raise TypeError("a spec is a JSON object")
        for name, value in values.items():
            if isinstance(value, list):
                values[name] = tuple(value)
        return cls(**values)

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
