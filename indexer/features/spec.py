"""FeatureSpec: everything that decides what a vector means, and the kinds of vectors it makes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from indexer.choices import RESAMPLINGS, SCHEMES, Pooling, Resampling, Scheme, Scope, TapKind
from indexer.errors import FeatureError, SpecMismatchError
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.registry import get_backbone

if TYPE_CHECKING:  # the defaults of the command line come from here: NumPy is not needed for them
    from indexer.features.windows import WindowLayout

# What a file of choices may hold, see `read_choices`.
CHOICES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("backbone", "conv", "fc", "pooling", "regions"), str),
    **dict.fromkeys(("size_px", "crop_px"), int),
    **dict.fromkeys(("gem_p", "overlap"), (int, float)),
    **dict.fromkeys(("scales", "aspects"), list),
}

# A panorama's long side is at most this many times the short side at the network's input.
MAX_ELONGATION = 16


@dataclass(frozen=True)
class VectorKind:
    """One kind of vector that a spec makes.

    `name` is how the store knows it, `taps` are the taps it is read from, all of the kind
    `feature`, and `scope` says what it describes: the whole image, or each region of it.
    """

    name: str
    taps: tuple[str, ...]
    feature: TapKind
    scope: Scope


@dataclass(frozen=True)
class FeatureSpec:
    """Everything that decides what the vectors of a store mean.

    `size_px` is the side of a square with the area of the network's input: a photo keeps its aspect
    ratio and is resized to about `size_px`² pixels, by `resampling` (see `resize_pixels`). `gem_p`
    is the exponent of GeM and unused otherwise.

    `regions` is the scheme of the windows, `scales`, `aspects` and `overlap` their layout (see
    `WindowLayout`), `region_taps` the conv taps whose pooled vectors describe a window, `whitening`
    the digest of the whitening that joins them, and `adaptation` that of a second one learned from
    the collection; both are empty if there is none. `crop_px` is the input size of a window in
    the sliding scheme.

    The engine that computes the vectors is not part of the spec: engines agree.
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
        given |= {n: float(given[n]) for n in ("gem_p", "overlap") if n in given}
        given |= {n: tuple(map(float, given[n])) for n in ("scales", "aspects") if n in given}
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
                raise FeatureError(f"{name} of {self.backbone} is not a {kind} tap.")
        self._check_ranges(network.min_size_px)

    def _check_ranges(self, min_size_px: int = 1) -> None:
        for name, size in (("input", self.size_px), ("crop", self.crop_px)):
            if not min_size_px <= size <= 4096:
                raise FeatureError(
                    f"The {name} size must be {min_size_px} to 4096 pixels for {self.backbone}, "
                    f"not {size}."
                )
        if not 1 <= self.gem_p <= 1000:
            raise FeatureError(f"GeM needs an exponent of 1 to 1000, not {self.gem_p}.")
        for name, value, known in (
            ("resampling", self.resampling, RESAMPLINGS),
            ("pooling", self.pooling, get_args(Pooling)),
            ("region scheme", self.regions, SCHEMES),
        ):
            if value not in known:
                raise FeatureError(f"There is no {name} {value!r}; choose from {', '.join(known)}.")
        windows = ("scales", self.scales, 0.05, 1), ("aspects", self.aspects, 0.1, 10)
        for name, values, least, most in windows:
            if not 1 <= len(values) <= 20 or not all(least <= value <= most for value in values):
                raise FeatureError(
                    f"Window {name} must be 1 to 20 of {least} to {most}, not {values}."
                )
        if not 0 <= self.overlap <= 0.9:
            raise FeatureError(f"The overlap must be 0 to 0.9, not {self.overlap}.")

    @property
    def layout(self) -> WindowLayout:
        """The layout of the windows."""
        from indexer.features.windows import WindowLayout

        return WindowLayout(self.scales, self.aspects, self.overlap)

    @property
    def taps(self) -> tuple[str, ...]:
        """Every tap that is read, once."""
        return tuple(dict.fromkeys((self.conv, self.fc, *self.region_taps)))

    @property
    def kinds(self) -> tuple[VectorKind, ...]:
        """The kinds of vectors that a store of this spec holds, in a fixed order."""
        kinds = [
            VectorKind("conv", (self.conv,), "conv", "image"),
            VectorKind("fc", (self.fc,), "fc", "image"),
        ]
        if self.regions != "none":
            kinds.append(VectorKind("region", self.region_taps, "conv", "region"))
        if self.regions == "sliding":
            kinds.append(VectorKind("region_fc", (self.fc,), "fc", "region"))
        return tuple(kinds)

    def kinds_of(self, scope: Scope) -> tuple[VectorKind, ...]:
        """The kinds that describe whole images, or those that describe regions."""
        return tuple(kind for kind in self.kinds if kind.scope == scope)

    def find_kind(self, feature: TapKind, scope: Scope) -> VectorKind | None:
        """Return the kind of this feature and scope; None where the spec makes no such vectors."""
        return next((k for k in self.kinds if (k.feature, k.scope) == (feature, scope)), None)

    def to_json(self) -> str:
        """Return canonical JSON: sorted keys, no white space."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> FeatureSpec:
        """Read what `to_json` wrote; raises `ValueError`, `TypeError` or `FeatureError`."""
        values: dict[str, Any] = json.loads(text)
        if not isinstance(values, dict):
            raise TypeError("a spec is a JSON object")
        for name, value in values.items():
            values[name] = tuple(value) if isinstance(value, list) else value
        spec = cls(**values)
        for name, default in dataclasses.asdict(cls()).items():
            value, single = getattr(spec, name), not isinstance(default, tuple)
            kind = type(default if single else default[0] if default else "")
            kinds = (float, int) if kind is float else (kind,)
            if (single and isinstance(value, tuple)) or not all(
                type(part) in kinds for part in ((value,) if single else value)
            ):
                raise TypeError(f"{name} is {value!r}")
        spec._check_ranges()
        return spec

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def image_fingerprint(self) -> str:
        """The fingerprint without regions: whole images have the same vectors where it is equal."""
        names = ("backbone", "weights", "conv", "fc", "pooling", "gem_p", "size_px", "resampling")
        own = {name: getattr(self, name) for name in names}
        return FeatureSpec(**own, regions="none").fingerprint

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


def read_choices(path: Path) -> dict[str, Any]:
    """Read choices for `FeatureSpec.create` from a JSON file, as `cbir eval layers` writes it.

    Raises `FeatureError` naming what is wrong.
    """
    try:
        choices = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FeatureError(f"The spec {path} cannot be read: {error}.") from error
    if not isinstance(choices, dict):
        raise FeatureError(f"The spec {path} is not a JSON object.")
    for name, value in choices.items():
        if name not in CHOICES:
            raise FeatureError(
                f"The spec {path} has an unknown {name!r}; it may have {', '.join(CHOICES)}."
            )
        numbers = value if isinstance(value, list) else []
        is_bad = any(isinstance(n, bool) or not isinstance(n, int | float) for n in numbers)
        if isinstance(value, bool) or not isinstance(value, CHOICES[name]) or is_bad:
            raise FeatureError(f"The spec {path} has {value!r} for {name}, which is no such value.")
    return choices
