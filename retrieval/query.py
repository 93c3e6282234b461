"""Query and Hit: what is asked, and what comes back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, overload

from indexer.choices import (
    MAX_PIXELS,
    SCOPES,
    TAP_KINDS,
    Damaged,
    Oversize,
    Scope,
    TapKind,
    Verdict,
)
from indexer.errors import InvalidQueryError
from indexer.features.regions import Region
from indexer.features.spec import FeatureSpec
from indexer.image_set import ImageSet
from indexer.images.page_paths import find_page
from indexer.sources.access import may_exist
from indexer.sources.place import Place

CANDIDATES = 200
POOL = 500  # images that steps compare, however few hits are asked for

Quad = tuple[tuple[float, float], ...]
"""Four corners x, y in pixels of an image."""


class _Allowed:
    """The field `allowed` of `Query`: it takes ids in any collection, and is an `ImageSet`."""

    @overload
    def __get__(self, query: None, owner: type[Query]) -> None: ...
    @overload
    def __get__(self, query: Query, owner: type[Query]) -> ImageSet | None: ...
    def __get__(self, query: Query | None, owner: type[Query]) -> ImageSet | None:
        return None if query is None else query.__dict__["allowed"]

    def __set__(self, query: Query, ids: Iterable[int] | None) -> None:
        query.__dict__["allowed"] = None if ids is None else ImageSet.of(ids)


@dataclass(frozen=True)
class Query:
    """A search for the images nearest to one image, or to a box in it, or to a word.

    Exactly one of `path`, `data` (the bytes of an image file), `image_id` (an image of the store),
    `text` (the name of a class that the network knows) and `vector` (of any length but zero, made
    with the spec of the store) is the source; `name` stands for `data` in errors and reports.
    `context` pads the box on every side by that share of its size. A text is compared with the fc
    features of whole images; in it, and in a vector, there is nothing to verify or to turn.

    `search` compares with whole images or with their regions; each image is found once, with its
    best box. `turns` asks in four rotations, a quarter turn each; an image's best score counts.
    `verify` looks for the query's keypoints in the first `candidates` images, so that those with
    the same object come first; `rerank` does that, and looks for more images like them: it needs a
    search of regions by conv features. `k` is how many hits at most; None is all. Hits below
    `min_confidence` are left out: at 1, all that is not proved. `allowed` restricts the hits to
    these image ids, inside the search; any collection of them becomes an `ImageSet`. A query image
    of more than `max_pixels` is refused, unless `oversize` is reduce and its format can be read at
    a smaller size, and so is one whose file calls its pixels damaged, unless `damaged` is take.

    `also` are further queries, each with a weight; of them only the source, box, context, feature
    and search count. The vectors of those of the same `kind` are added to this one's, and those of
    negative weight are taken away from it (Rocchio 1971, with unit vectors). Each of another kind
    ranks the images by itself, with what is added to it, and the rankings are joined by reciprocal
    ranks, see `fusion`. Raises `InvalidQueryError` for impossible combinations.
    """

    path: Place | None = None
    data: bytes | None = None
    image_id: int | None = None
    text: str | None = None
    vector: tuple[float, ...] | None = None
    box: Region | None = None
    context: float = 0.0
    feature: TapKind = "conv"
    search: Scope = "image"
    turns: bool = False
    verify: bool = False
    rerank: bool = False
    candidates: int = CANDIDATES
    k: int | None = 10
    min_confidence: float = 0.0
    allowed: _Allowed = _Allowed()
    max_pixels: int = MAX_PIXELS
    damaged: Damaged = "skip"
    name: str | None = None
    oversize: Oversize = "skip"
    also: tuple[tuple[Query, float], ...] = ()

    @property
    def counts_whole(self) -> bool:
        """Whether whole images count beside regions: the query is a whole picture itself."""
        return self.search == "region" and self.box is None and self.vector is None

    @property
    def kind(self) -> tuple[TapKind, Scope, bool]:
        """What it is compared by: the feature and the search, and whether it is a text."""
        return self.feature, self.search, self.text is not None

    @property
    def added(self) -> tuple[tuple[Query, float], ...]:
        """Those of `also` that are of the same kind, so that their vectors are added.

        Those to be unlike come last: the order of a sum decides its last bits.
        """
        own = [(other, weight) for other, weight in self.also if other.kind == self.kind]
        return tuple(sorted(own, key=lambda further: further[1] < 0))

    @property
    def fused(self) -> tuple[tuple[Query, float], ...]:
        """Those of `also` that are of other kinds, so that rankings are joined; words last."""
        others = [(other, weight) for other, weight in self.also if other.kind != self.kind]
        return tuple(sorted(others, key=lambda further: further[0].text is not None))

    @classmethod
    def for_store(cls, spec: FeatureSpec, *, search: Scope | None = None, **fields: Any) -> Query:
        """Make a query with what is not chosen filled in for a store of this spec.

        A box, or re-ranking, searches regions where the store has them by that feature; anything
        else searches whole images, and a text does by fc features. Fields that are None keep their
        defaults, except `k`.
        """
        given = {name: v for name, v in fields.items() if v is not None or name == "k"}
        if "text" in given:
            given.setdefault("feature", "fc")
        if search is None:
            feature = given.get("feature", cls.feature)
            has_regions = spec.find_kind(feature, "region") is not None
            by_region = given.get("rerank") or ("box" in given and has_regions)
            search = "region" if by_region else "image"
        return cls(search=search, **given)

    def __post_init__(self) -> None:
        sources = [self.path, self.data, self.image_id, self.text, self.vector]
        count = sum(source is not None for source in sources)
        if count != 1:
            raise InvalidQueryError(
                f"A query needs exactly one of path, data, image_id, text and vector; {count} were "
                "given."
            )
        if self.k is not None and self.k < 1:
            raise InvalidQueryError(f"k must be at least 1, not {self.k}.")
        if self.feature not in TAP_KINDS:
            raise InvalidQueryError(f"There is no feature {self.feature!r}; choose conv or fc.")
        if self.search not in SCOPES:
            raise InvalidQueryError(f"There is no search {self.search!r}; choose image or region.")
        if not 0 <= self.context <= 10:
            raise InvalidQueryError(f"The context must be 0 to 10, not {self.context}.")
        if not 0 <= self.min_confidence <= 1:
            raise InvalidQueryError(
                f"The least confidence must be 0 to 1, not {self.min_confidence}."
            )
        if self.candidates < 1:
            raise InvalidQueryError(
                f"At least 1 candidate must be looked at, not {self.candidates}."
            )
        if self.rerank and (self.search, self.feature) != ("region", "conv"):
            raise InvalidQueryError(
                "Re-ranking needs a search of regions by conv features: --search region."
            )
        if self.text is not None:
            self._check_text(self.text)
        self._check_also()
        if self.vector is not None and (self.box or self.turns or self.verify or self.rerank):
            raise InvalidQueryError(
                "A vector has no box, no keypoints to verify or to re-rank by, and no turns."
            )

    def _check_also(self) -> None:
        for other, weight in self.also:
            if not (math.isfinite(weight) and weight):
                raise InvalidQueryError(f"A weight is a number other than 0, not {weight}.")
            if self.turns and other.vector is not None and other.kind == self.kind:
                raise InvalidQueryError("A vector cannot be turned; leave the turns out.")
            if other.fused or (other.also and other.kind == self.kind):
                raise InvalidQueryError(
                    "A further query cannot have further queries itself, unless it is of another "
                    "kind, and they are of that."
                )
            if weight < 0 and other.kind != self.kind:
                raise InvalidQueryError(
                    "Only what is compared in the same way as the query can be taken away from "
                    f"it, by {self.feature} features of the {self.search}: ranks say what is like "
                    "something, not what is unlike it."
                )
        if self.fused and self.rerank:
            raise InvalidQueryError(
                "Re-ranking compares by one kind of vector; ask with one feature and without "
                "words, or verify instead."
            )
        if self.fused and self.min_confidence:
            raise InvalidQueryError(
                "Hits by several rankings have no confidence; leave its least out."
            )

    def _check_text(self, text: str) -> None:
        if not text.strip():
            raise InvalidQueryError("The text of the query is empty.")
        if (self.search, self.feature) != ("image", "fc"):
            raise InvalidQueryError(
                "A text is compared with the fc features of whole images: leave --search and "
                "--feature out."
            )
        if self.box is not None or self.turns or self.verify:
            raise InvalidQueryError("A text has no box, no keypoints to verify, and no turns.")
        if self.min_confidence:
            raise InvalidQueryError("The hits of a text have no confidence; leave its least out.")


@dataclass(frozen=True)
class Hit:
    """A found image; `rank` is from 1, `path` is absolute, or a URL.

    `score` is the cosine of the vectors, 1 for the same; of a region search without a box, the
    mean of the best region's cosine and the whole image's. Of a query of several kinds it is made
    of ranks, see `fusion`: 1 is first in all rankings. Verifying and re-ranking change the order,
    not the scores. `region` is the matched box, None for a whole-image
    hit that is not proved.

    Where geometry proved the hit, `inliers` is how many keypoints agree, of the query and, after
    re-ranking, of proved hits. `quad` is the outline of the query in the image, four corners x, y
    in pixels from the query's own upper left, clockwise unless `mirrored`. `inverted` says that
    light and dark are exchanged.

    `confidence` is the probability that none of the images searched would score as high by chance,
    None in a store too small to tell. It is 1 for the query's own file and for proved hits, and
    less for all others. `verdict` says in a word what that means. `annotations` are what fields of
    the user's own say of the image.
    """

    rank: int
    image_id: int
    path: Place
    score: float
    region: Region | None = None
    quad: Quad | None = None
    inliers: int | None = None
    mirrored: bool = False
    inverted: bool = False
    confidence: float | None = None
    verdict: Verdict | None = None
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def is_missing(self) -> bool:
        """Whether the file is not there any more: deleted, or on a drive that is not mounted.

        At a URL it is taken to be there: nothing is asked.
        """
        return not may_exist(find_page(self.path)[0])
