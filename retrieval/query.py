"""Query and Hit: what is asked, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from indexer.errors import InvalidQueryError
from indexer.features.regions import Region

Feature = Literal["conv", "fc"]
FEATURES: tuple[Feature, ...] = ("conv", "fc")


@dataclass(frozen=True)
class Query:
    """A search for the images nearest to one image, or to a box in it.

    Exactly one of `path`, `data` (the bytes of an image file) and `image_id` (an image of the
    store) is the source. `k` is how many hits at most; None is all. `allowed` restricts the hits
    to these image ids, inside the search. Raises `InvalidQueryError` for impossible combinations.
    """

    path: Path | None = None
    data: bytes | None = None
    image_id: int | None = None
    box: Region | None = None
    feature: Feature = "conv"
    k: int | None = 10
    allowed: frozenset[int] | None = None

    def __post_init__(self) -> None:
        sources = [s for s in (self.path, self.data, self.image_id) if s is not None]
        if len(sources) != 1:
            raise InvalidQueryError(
                f"A query needs exactly one of path, data and image_id; {len(sources)} were given."
            )
        if self.k is not None and self.k < 1:
            raise InvalidQueryError(f"k must be at least 1, not {self.k}.")
        if self.feature not in FEATURES:
            raise InvalidQueryError(f"There is no feature {self.feature!r}; choose conv or fc.")


@dataclass(frozen=True)
class Hit:
    """A found image. `score` is the cosine of the vectors, 1 for the same; `rank` is from 1.

    `path` is absolute; `region` is the matched box, None for a whole-image hit.
    """

    rank: int
    image_id: int
    path: Path
    score: float
    region: Region | None = None
