"""Query and Hit: what is asked, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from indexer.errors import InvalidQueryError
from indexer.features.regions import Region

Feature = Literal["conv", "fc"]
FEATURES: tuple[Feature, ...] = ("conv", "fc")
Search = Literal["image", "region"]
SEARCHES: tuple[Search, ...] = ("image", "region")

RERANK_CANDIDATES = 100


@dataclass(frozen=True)
class Query:
    """A search for the images nearest to one image, or to a box in it.

    Exactly one of `path`, `data` (the bytes of an image file) and `image_id` (an image of the
    store) is the source. `context` pads the box on every side by that share of its size.

    `search` compares with whole images or with their regions; each image comes once, with its best
    box. `rerank` examines the first `candidates` images finely and needs a search of regions by
    conv features. `k` is how many hits at most; None is all. `allowed` restricts the hits to these
    image ids, inside the search. Raises `InvalidQueryError` for impossible combinations.
    """

    path: Path | None = None
    data: bytes | None = None
    image_id: int | None = None
    box: Region | None = None
    context: float = 0.0
    feature: Feature = "conv"
    search: Search = "image"
    rerank: bool = False
    candidates: int = RERANK_CANDIDATES
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
        if self.search not in SEARCHES:
            raise InvalidQueryError(f"There is no search {self.search!r}; choose image or region.")
        if not 0 <= self.context <= 10:
            raise InvalidQueryError(f"The context must be 0 to 10, not {self.context}.")
        if self.candidates < 1:
            raise InvalidQueryError(f"At least 1 image must be examined, not {self.candidates}.")
        if self.rerank and (self.search, self.feature) != ("region", "conv"):
            raise InvalidQueryError(
                "Re-ranking needs a search of regions by conv features: --search region."
            )


@dataclass(frozen=True)
class Hit:
    """A found image; `rank` is from 1, `path` is absolute.

    `score` is the cosine of the vectors, 1 for the same; of a region search without a box, the
    mean of the best region's cosine and, at half weight, the whole image's; after re-ranking, the
    cosine of the refined box with the expanded query. `region` is the matched box, None for a
    whole-image hit.
    """

    rank: int
    image_id: int
    path: Path
    score: float
    region: Region | None = None
