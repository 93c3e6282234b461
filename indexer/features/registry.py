"""Names to backbones."""

from __future__ import annotations

from indexer.errors import UnknownBackboneError
from indexer.features.backbones import BACKBONES, TIMM_PREFIX, Backbone


def get_backbone(name: str) -> Backbone:
    """Return the backbone called `name`, one of `BACKBONES` or `timm:MODEL`.

    Raises `UnknownBackboneError` naming the known ones.
    """
    if name.startswith(TIMM_PREFIX):
        from indexer.features.networks import describe_timm

        return describe_timm(name)
    if name not in BACKBONES:
        raise UnknownBackboneError(
            f"There is no backbone {name!r}; choose from {', '.join(BACKBONES)}, or timm:MODEL."
        )
    return BACKBONES[name]
