"""The route that locates a query in an image."""

from __future__ import annotations

import base64
import io
from typing import Annotated, Any

from fastapi import APIRouter, Request
from PIL import Image as PillowImage
from starlette.datastructures import UploadFile as Upload

from indexer.errors import InvalidQueryError
from indexer.features.regions import Region
from indexer.images.decode import LoadedImage, load_image
from retrieval.localize import Localization, localize
from retrieval.query import Query
from ui.api.models import LocalizeRequest, Located, Picture
from ui.api.problems import responses
from ui.api.searching import Image, json_part, parse
from ui.api.service import Service, Wanted, service_of
from ui.overlay import draw_overlays

router = APIRouter(tags=["localize"])
LOOKED_AT_PX = 1200  # the long side of the pictures that are looked at and sent


@router.post("/localize", responses=responses(429))
async def locate(
    request: Request,
    query: Annotated[str, json_part('{"image_id": 1, "target_id": 2}')] = "{}",
    image: Image | None = None,
    target: Image | None = None,
) -> Located:
    """Find where in one image another one is, or a box of it: `image` in `target`.

    Each of the two is a file, or an image of the store: `image_id`, `target_id`.
    """
    asked = parse(LocalizeRequest, query)
    service = service_of(request)
    source = await _source(image, asked.image_id, "image", "image_id")
    looked_in = await _source(target, asked.target_id, "target", "target_id")
    return await service.search(
        request, lambda wanted: _locate(service, asked, source, looked_in, wanted)
    )


async def _source(
    file: Upload | None, image_id: int | None, name: str, id_name: str
) -> dict[str, Any]:
    if (file is None) == (image_id is None):
        raise InvalidQueryError(f"Give either a file as {name}, or {id_name}.")
    if file is None:
        return {"image_id": image_id}
    return {"data": await file.read(), "name": file.filename or name}


def _locate(
    service: Service,
    asked: LocalizeRequest,
    source: dict[str, Any],
    looked_in: dict[str, Any],
    require_wanted: Wanted,
) -> Located:
    engine = service.opened.engine
    query = Query(
        **source,
        box=None if asked.box is None else Region(*asked.box),
        context=asked.context,
        search="region",
        verify=asked.verify,
        max_pixels=engine.store.max_pixels,
    )
    target = _load(service, looked_in)
    require_wanted()
    found = localize(engine.collection, query, target.image)
    require_wanted()
    return _located(found, (target.facts.width, target.facts.height), asked.pictures)


def _load(service: Service, looked_in: dict[str, Any]) -> LoadedImage:
    if "image_id" in looked_in:
        source: Any = service.opened.gallery.file(looked_in["image_id"])
    else:
        source = looked_in["data"]
    return load_image(
        source,
        at_least=LOOKED_AT_PX,
        max_pixels=service.opened.engine.store.max_pixels,
        name=looked_in.get("name"),
    )


def _located(found: Localization, size: tuple[int, int], pictures: list[Picture]) -> Located:
    place, quad = found.place_in(size)
    drawn = draw_overlays(found) if pictures else {}
    proof = found.proof
    return Located(
        box=list(place.as_tuple()),
        score=found.score,
        quad=None if quad is None else [list(corner) for corner in quad],
        inliers=proof.inliers if proof else None,
        mirrored=proof is not None and proof.mirrored,
        inverted=proof is not None and proof.inverted,
        pictures={name: _as_png(drawn[name]) for name in dict.fromkeys(pictures)},
    )


def _as_png(picture: PillowImage.Image) -> str:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode("ascii")
