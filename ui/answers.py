"""Answers: what is asked on a page as a query, and its hits, kept for those who ask again."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from indexer.arrays import IdArray
from indexer.choices import Scope, TapKind
from indexer.errors import CbirError, InvalidQueryError
from indexer.image_set import ImageSet
from indexer.store.filters import ImageFilter
from indexer.store.ordering import newest_first
from retrieval.fusion import fuse_hits
from retrieval.query import Hit, Query
from ui.asked import Asked
from ui.further import UNLIKE, FurtherFeature, with_further
from ui.gallery import version_of
from ui.query_pictures import query_pictures
from ui.render import printable
from ui.shown import Shown

HIT_BYTES = 2_000  # about what Python takes for a hit and its path
DEPTHS = (96, 480)  # how many hits are asked for, by how far somebody goes down
LONGEST = 120  # characters of what fields of the user's own say in a row

Wanted = Callable[[], object]
"""Raises where nobody waits for the answer any more."""


def search_of(shown: Shown, asked: Asked) -> Scope:
    """Return what is compared: unless it is chosen, regions if a box is asked with."""
    if shown.spec.regions == "none" or asked.text:
        return "image"
    return asked.search or ("region" if asked.box else "image")


def verifies(shown: Shown, asked: Asked) -> bool:
    """Return whether matches are proved: unless it is chosen, where the keypoints are kept."""
    if not asked.has_picture:
        return False
    return shown.store.keeps_keypoints if asked.verify is None else asked.verify


def query_of(shown: Shown, asked: Asked, **changes: Any) -> Query:
    """Return the query of a page, with some of its fields changed; of several boxes the first.

    Photos beside a word are asked with as images with a word beside them. Raises `CbirError`.
    """
    if asked.has_picture:
        return _with_picture(shown, asked, changes)
    k, allowed = changes.get("k", DEPTHS[0]), allowed_of(shown, asked)
    images = _further(asked)
    if not images:
        return Query.for_store(shown.spec, text=asked.text, k=k, allowed=allowed)
    (first, weight), *others = sorted(images, key=lambda further: further[1] < 0)
    if weight < 0:
        raise InvalidQueryError(
            "Nothing can be taken away from a word alone: add a photo to be like first."
        )
    query = Query.for_store(shown.spec, **first, k=k, allowed=allowed)
    return with_further(shown.spec, query, images=others, words=[(asked.text, 1.0)])


def plain_query_of(shown: Shown, asked: Asked, **changes: Any) -> Query:
    """Return the query of a page alone, without what is asked beside it."""
    return query_of(shown, replace(asked, also=(), unlike=(), also_text=""), **changes)


def _with_picture(shown: Shown, asked: Asked, changes: dict[str, Any]) -> Query:
    by_region = search_of(shown, asked) == "region"
    features: tuple[TapKind, ...] = ("conv", "fc")
    if by_region or asked.feature != "both":
        features = ("fc",) if asked.feature == "fc" and not by_region else ("conv",)
    chosen: dict[str, Any] = {
        **_source(asked),
        "box": asked.box[0] if asked.box else None,
        "feature": features[0],
        "search": "region" if by_region else "image",
        "turns": asked.turns,
        "verify": verifies(shown, asked),
        "rerank": by_region and asked.rerank,
        "k": DEPTHS[0],
        "allowed": allowed_of(shown, asked),
        "damaged": "take",  # whoever asks sees the picture
    }
    query = Query.for_store(shown.spec, **(chosen | changes))
    more = [FurtherFeature(name) for name in features[1:]]
    words = [(asked.also_text, 1.0)] if asked.also_text else []
    return with_further(shown.spec, query, images=_further(asked), features=more, words=words)


def _source(asked: Asked) -> dict[str, Any]:
    if asked.image is not None:
        return {"image_id": asked.image}
    given = query_pictures().get(asked.picture)
    return {"data": given.data, "name": given.name}


def _further(asked: Asked) -> list[tuple[Mapping[str, Any], float]]:
    images = [({"image_id": image_id}, 1.0) for image_id in asked.also]
    return [*images, *(({"image_id": image_id}, -UNLIKE) for image_id in asked.unlike)]


def allowed_of(shown: Shown, asked: Asked) -> ImageSet | None:
    """Return the images that may be hits, None where all may be."""
    wanted = asked.filter
    return shown.allowed_ids(wanted) if wanted else None


def in_order(shown: Shown, asked: Asked) -> IdArray:
    """Return the images (N,) that pass the filters, the newest first; kept for who scrolls."""

    def find() -> IdArray:
        every = shown.kept.get(
            shown.as_of_now("newest first"), lambda: newest_first(shown.store), _bytes_of
        )
        allowed = allowed_of(shown, asked)
        return every if allowed is None else every[allowed.has(every)]

    return shown.kept.get(shown.as_of_now("newest first", asked.filter), find, _bytes_of)


def _bytes_of(ids: IdArray) -> int:
    return ids.nbytes


def search(shown: Shown, asked: Asked, depth: int, require_wanted: Wanted) -> list[Hit]:
    """Return the hits of what is asked, at most `depth`; raises `CbirError`.

    Each of several boxes ranks the images by itself, and the rankings are joined.
    """
    if len(asked.box) < 2:
        return search_query(shown, query_of(shown, asked, k=depth), require_wanted)
    parts = [replace(asked, box=(box,)) for box in asked.box]
    rankings = [
        search_query(shown, query_of(shown, part, k=DEPTHS[-1]), require_wanted) for part in parts
    ]
    return fuse_hits(rankings)[:depth]


def search_query(shown: Shown, query: Query, require_wanted: Wanted) -> list[Hit]:
    """Return the hits of a query, once it is its turn; the last ones are kept."""
    return shown.once(
        shown.as_of_now("hits", without_data(query)),
        lambda: shown.engine.search(query, require_wanted=require_wanted),
        lambda hits: HIT_BYTES * len(hits),
        require_wanted,
    )


def without_data(query: Query) -> Query:
    """Return a query with a digest of its image in place of the image, to keep something by."""
    if query.data is None:
        return query
    return replace(query, data=hashlib.sha256(query.data).digest())


# --- as the pages draw them -----------------------------------------------------------------------


def as_rows(shown: Shown, hits: Sequence[Hit], *, scores: bool = True) -> list[dict[str, Any]]:
    """Return hits as short JSON objects, without those whose image is gone.

    `id`, `v` the version of its picture, `n` name, `w` and `h` in pixels, `s` score, `t` verdict,
    `b` box, `q` outline, both in pixels, `a` what fields of the user's own say.
    """
    infos = shown.store.image_infos(hit.image_id for hit in hits)
    rows = []
    for hit in hits:
        info = infos.get(hit.image_id)
        if info is None:
            continue
        row = {
            "id": info.id,
            "v": version_of(info),
            "n": printable(info.path.name),
            "w": info.width,
            "h": info.height,
        }
        rows.append(row | ({"s": round(hit.score, 3)} if scores else {}) | _marks(hit))
    return rows


def _marks(hit: Hit) -> dict[str, Any]:
    marks: dict[str, Any] = {}
    if hit.verdict is not None:
        marks["t"] = hit.verdict
    if hit.quad is not None:
        marks["q"] = [round(value) for corner in hit.quad for value in corner]
    elif hit.region is not None:
        marks["b"] = list(hit.region.as_tuple())
    if hit.annotations:
        marks["a"] = short(hit.annotations)
    return marks


def short(annotations: Mapping[str, str]) -> str:
    """Return what fields of the user's own say, in a line: the values alone, cut where long."""
    said = " · ".join(" ".join(text.split()) for text in annotations.values())
    return printable(said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…")


def as_hits(shown: Shown, image_ids: Sequence[int]) -> list[Hit]:
    """Return images of the collection in the shape of hits, those that are gone left out."""
    infos = shown.store.image_infos(image_ids)
    return [
        Hit(rank, image_id, infos[image_id].path, 1.0, None)
        for rank, image_id in enumerate((i for i in image_ids if i in infos), 1)
    ]


def size_of(shown: Shown, asked: Asked) -> tuple[int, int]:
    """Return width and height of the picture that is asked with; raises `CbirError`."""
    if asked.image is not None:
        info = shown.gallery.info(asked.image)
        return info.width, info.height
    facts = query_pictures().get(asked.picture).facts
    return facts.width, facts.height


def require_boxes_inside(shown: Shown, asked: Asked) -> None:
    """Raise `InvalidRegionError` unless the boxes lie in the picture."""
    if asked.box:
        size = size_of(shown, asked)
        for box in asked.box:
            box.require_inside(*size)


# --- what the store can be asked ------------------------------------------------------------------


UNFILTERED = " The images below are not filtered by it."
NO_BOX = " The whole picture is asked with."


def usable(shown: Shown, asked: Asked) -> tuple[Asked, list[str]]:
    """Return what of it the store can be asked, and why the rest is left out."""
    problems: list[str] = []

    def check(test: Callable[[], object], note: str = "", **without: Any) -> None:
        nonlocal asked
        try:
            test()
        except CbirError as error:
            problems.append(f"{str(error).removesuffix('.')}.{note}" if note else str(error))
            asked = replace(asked, **without)

    if asked.has_picture:
        check(lambda: _require_picture(shown, asked), image=None, picture="", box=())
    if asked.box:
        check(lambda: require_boxes_inside(shown, asked), NO_BOX, box=())
    for name in ("also", "unlike"):
        ids = getattr(asked, name)
        check(partial(_require_images, shown, ids), "", **{name: _known(shown, ids)})
    if asked.tags:
        check(lambda: shown.allowed_ids(ImageFilter(tags=asked.tags)), UNFILTERED, tags=())
    if asked.where:
        check(lambda: shown.allowed_ids(ImageFilter(where=asked.where)), UNFILTERED, where="")
    if asked.since and asked.until:
        check(lambda: _require_days(asked), UNFILTERED, since=None, until=None)
    return asked, problems


def _require_days(asked: Asked) -> None:
    """Raise `InvalidQueryError` unless a day lies between the dates."""
    if asked.since and asked.until and asked.since > asked.until:
        raise InvalidQueryError(f"No day is between {asked.since} and {asked.until}.")


def _require_picture(shown: Shown, asked: Asked) -> None:
    """Raise `CbirError` unless the picture that is asked with can be shown."""
    if asked.image is None:
        query_pictures().get(asked.picture)
    else:
        shown.gallery.file(asked.image)


def _known(shown: Shown, image_ids: Sequence[int]) -> tuple[int, ...]:
    infos = shown.store.image_infos(image_ids) if image_ids else {}
    return tuple(image_id for image_id in image_ids if image_id in infos)


def _require_images(shown: Shown, image_ids: Sequence[int]) -> None:
    for image_id in image_ids:
        shown.gallery.info(image_id)
