"""Where a query is in a hit, over HTTP: layers for its picture, and the points that they share."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from PIL import Image
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from indexer.errors import InvalidQueryError
from retrieval.correspondences import Correspondences, find_correspondences
from retrieval.localize import Localization, localize
from retrieval.query import Hit
from ui.answers import DEPTHS, plain_query_of, search, without_data
from ui.api.service import Wanted
from ui.asked import Asked
from ui.overlay import heat_layer, mask_layer
from ui.page_routes.answering import asked_of, hits_by_id, number_in, require_images, work_for
from ui.render import quad_as_list
from ui.shown import Shown

T = TypeVar("T")

SIDE_PX = 800  # of the picture that is looked at
DIGITS = 4  # of shares
MATCHES = "matches.json"
NO_PICTURE = "Only a picture can be found in another one, not a word."
LAYERS: dict[str, Callable[[Localization], Image.Image]] = {
    "heat.png": lambda found: heat_layer(found.heat),
    "mask.png": lambda found: mask_layer(found.mask),
}


async def show_located(request: Request) -> Response:
    """Answer with a layer for the picture of a hit, or with the points that it shares."""
    image_id = number_in(request, "hit")
    what = request.query_params.get("what", "")
    if what not in (MATCHES, *LAYERS):
        known = ", ".join((*LAYERS, MATCHES))
        raise InvalidQueryError(f"what in the address is {what!r}; it must be one of {known}.")

    def find(shown: Shown, wanted: Wanted) -> Response:
        asked, problems = asked_of(request, shown)
        if not asked.has_picture:
            raise InvalidQueryError(" ".join(problems) or NO_PICTURE)
        [image] = require_images(shown, [image_id])
        part, hit = _best_box(shown, asked, image, wanted)
        if what == MATCHES:
            return JSONResponse(_matches(shown, part, hit, wanted))
        return _as_png(LAYERS[what](_locate(shown, part, hit, wanted)))

    return await work_for(request, find)


def _best_box(shown: Shown, asked: Asked, image: Hit, wanted: Wanted) -> tuple[Asked, Hit]:
    """Return what is asked with that box, of several, which found an image best, and its hit."""
    if len(asked.box) < 2:
        hits = hits_by_id(shown, asked, [image.image_id], wanted)
        return asked, hits.get(image.image_id, image)
    parts = [replace(asked, box=(box,)) for box in asked.box]
    found = [
        (part, hit)
        for part in parts
        for hit in search(shown, part, DEPTHS[-1], wanted)
        if hit.image_id == image.image_id
    ]
    return max(found, key=lambda one: _strength(one[1]), default=(parts[0], image))


def _strength(hit: Hit) -> tuple[int, float]:
    return hit.inliers or 0, hit.score


def _locate(shown: Shown, asked: Asked, hit: Hit, wanted: Wanted) -> Localization:
    """Find the query in a hit, at the size that is shown; kept for the next time.

    Where the hit has a box or an outline, that is where it is.
    """
    query = plain_query_of(shown, asked, search="region", feature="conv", rerank=False)

    def find() -> Localization:
        info = shown.gallery.info(hit.image_id)
        size = info.width, info.height
        picture = shown.gallery.picture(hit.image_id, SIDE_PX)
        box = hit.region.scaled(size, picture.size) if hit.region else None
        across, down = picture.width / size[0], picture.height / size[1]
        quad = tuple((x * across, y * down) for x, y in hit.quad) if hit.quad else None
        return localize(shown.engine.collection, query, picture, box=box, quad=quad)

    key = shown.as_of_now("located", without_data(query), hit.image_id, hit.region, hit.quad)
    return shown.once(key, find, _bytes_of, wanted)


def _bytes_of(found: Localization) -> int:
    """Return about how many bytes a localization takes."""
    pictures = 3 * (found.image.width * found.image.height + found.query.width * found.query.height)
    return pictures + found.heat.nbytes + found.mask.nbytes


def _as_png(layer: Image.Image) -> Response:
    out = io.BytesIO()
    layer.save(out, "PNG")
    return Response(out.getvalue(), media_type="image/png")


def _matches(shown: Shown, asked: Asked, hit: Hit, wanted: Wanted) -> dict[str, Any]:
    """Return where the query lies in a hit, and the points that say so.

    Box and outline are in pixels of the original, points in shares of the whole query picture and
    of the hit's. They `prove` the match, or only hint at it.
    """
    query = plain_query_of(shown, asked)

    proved = _proved(shown, asked, wanted) if query.rerank and hit.inliers is not None else []

    def find() -> tuple[Correspondences | None]:  # None alone would not be kept
        collection = shown.engine.collection
        return (find_correspondences(collection, query, hit.image_id, proved=proved),)

    key = shown.as_of_now("matches", without_data(query), hit.image_id)
    [found] = shown.once(key, find, lambda kept: kept[0].shares.nbytes if kept[0] else 0, wanted)
    match = found.match if found else None
    proof = match if match and match.is_proof else None
    info = shown.gallery.info(hit.image_id)
    box = proof.box_in(info.width, info.height) if proof else None
    box = hit.region or box
    return {
        "box": list(box.as_tuple()) if box else None,
        "quad": quad_as_list(hit.quad or (proof.quad if proof else None)),
        "proved": proof is not None,
        "mirrored": proof is not None and proof.mirrored,
        "matches": found.shares.round(DIGITS).tolist() if found else [],
    }


def _proved(shown: Shown, asked: Asked, wanted: Wanted) -> list[int]:
    """Return the images that geometry proved to show what is asked, best first."""
    hits = search(shown, asked, DEPTHS[0], wanted)
    return [hit.image_id for hit in hits if hit.inliers is not None]
