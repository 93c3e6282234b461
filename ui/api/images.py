"""Routes for the images of the store: what is known of them, their pictures, putting, removing."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from enum import IntEnum
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Body, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from indexer.errors import InaccessibleImageError
from indexer.images.page_paths import find_page
from indexer.remove import remove_images
from indexer.store.annotations import annotate
from indexer.store.filters import find_ids
from indexer.store.records import ImageInfo
from indexer.store.store import Store
from indexer.store.tags import tags_of
from ui.api.models import IMAGE_ID, ImageChoice, ImageModel, ImagePage, Put, Removed
from ui.api.problems import NotFoundError, responses
from ui.api.searching import filter_of
from ui.api.service import Service, service_of
from ui.gallery import SCREEN_PX, THUMBNAIL_SIDES, as_jpeg, state_of, version_of

router = APIRouter(tags=["images"])

PAGE = 100  # images of a list, unless asked
MAX_PAGE = 1000
# Kept, but asked for again each time: a store that was built again has the same ids for others.
KEPT = "private, no-cache"
KEPT_FOR_GOOD = "private, max-age=31536000, immutable"  # where the address names the version

Id = Annotated[IMAGE_ID, Path(description="an image of the store")]
Version = Annotated[
    str,
    Query(
        description="the version that the client expects; where it is the present one, the picture "
        "need not be asked for again"
    ),
]


class Side(IntEnum):
    """The long side of a thumbnail, in pixels."""

    SMALL = THUMBNAIL_SIDES[0]
    USUAL = THUMBNAIL_SIDES[1]
    LARGE = THUMBNAIL_SIDES[2]


Values = Annotated[
    dict[str, str], Body(examples=[{"sku": "A-1042", "title": "Red mug"}], max_length=200)
]
Key = Annotated[
    str,
    Path(
        description="the client's own name of an image, such as a SKU, in one line",
        pattern="^[^\\x00-\\x1f\\x7f\\u2028\\u2029]+$",
        examples=["SKU-1042"],
    ),
]
PICTURE: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {
    304: {"description": "The picture that the client has is the same"}
}


@router.get("/images", responses=responses())
async def list_images(
    request: Request,
    after: Annotated[int, Query(ge=0, lt=2**63, description="the last id of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = PAGE,
    folder: str | None = None,
    name: str = "",
    since: dt.date | None = None,
    until: dt.date | None = None,
    tag: Annotated[list[str] | None, Query(description="may be given several times")] = None,
    where: str = "",
) -> ImagePage:
    """List the images, or those that pass a filter, a page at a time."""
    choice = ImageChoice(
        folder=folder, name=name, since=since, until=until, tags=tag or [], where=where
    )
    service = service_of(request)

    def find() -> ImagePage:
        store = service.opened.engine.store
        found = find_ids(store, filter_of(choice)).ids
        rest = found[np.searchsorted(found, after, side="right") :]
        ids = rest[:limit].tolist()
        infos = store.image_infos(ids)
        models = [_model(service, infos[id_]) for id_ in ids if id_ in infos]
        return ImagePage(images=models, after=ids[-1] if len(rest) > limit else None)

    return await run_in_threadpool(find)


# --- by the client's own keys ---------------------------------------------------------------------


@router.put(
    "/images/by-key/{key:path}",
    responses=responses(404) | {201: {"model": Put}, 202: {"model": Put}},
)
async def put_image(
    key: Key,
    request: Request,
    data: Annotated[bytes, Body(media_type="image/*", description="an image file")],
    wait: Annotated[bool, Query(description="answer once the image can be found")] = True,
) -> Put:
    """Put an image under a key of the client's own, in place of the one there, if any.

    With `wait` the answer comes once it is searchable (200, or 201 for a new key), unless other
    writing takes long; without, at once (202): it is searchable with the next commit.
    """
    service = service_of(request)
    kind = request.headers.get("content-type", "")
    known = await run_in_threadpool(_known, service, key)
    indexed = await run_in_threadpool(service.uploads.put, key, data, kind)
    info: ImageInfo | None = None
    if wait:
        try:
            info = await asyncio.wait_for(
                asyncio.shield(asyncio.wrap_future(indexed)), service.limits.search_s
            )
        except TimeoutError:
            info = None
    put = Put(key=key, image_id=info.id if info else None, searchable=info is not None)
    status = 202 if info is None else 200 if known else 201
    return JSONResponse(put.model_dump(), status)  # type: ignore[return-value]


def _known(service: Service, key: str) -> bool:
    try:
        service.uploads.find(key)
    except NotFoundError:
        return False
    return True


@router.get("/images/by-key/{key:path}", responses=responses(404))
async def show_image_by_key(key: Key, request: Request) -> ImageModel:
    """Return what is known of the image that was put under a key."""
    service = service_of(request)
    return await run_in_threadpool(lambda: _model(service, service.uploads.find(key)))


@router.delete("/images/by-key/{key:path}", responses=responses(404))
async def remove_image_by_key(key: Key, request: Request) -> Removed:
    """Remove the image that was put under a key, and its file; it is no hit from then on."""
    service = service_of(request)
    await service.change(lambda: service.uploads.remove(key))
    return Removed(removed=1)


# --- by id ----------------------------------------------------------------------------------------


@router.get("/images/{image_id}", responses=responses(404))
async def show_image(image_id: Id, request: Request) -> ImageModel:
    """Return what is known of an image."""
    service = service_of(request)
    return await run_in_threadpool(lambda: _model(service, _info(service, image_id)))


@router.delete("/images/{image_id}", responses=responses(404))
async def remove_image(
    image_id: Id,
    request: Request,
    exclude: Annotated[bool, Query(description="and leave it out of later index runs")] = False,
) -> Removed:
    """Remove an image from the store, not its file; it is no hit from then on."""
    service = service_of(request)

    def remove() -> int:
        path = find_page(_info(service, image_id).path)[0]
        return service.writer.change(lambda store: remove_images(store, [path], exclude=exclude))

    return Removed(removed=await service.change(remove))


@router.put("/images/{image_id}/annotations", responses=responses(404))
async def annotate_image(image_id: Id, values: Values, request: Request) -> ImageModel:
    """Let fields of your own say this of an image; an empty text clears what one said."""
    service = service_of(request)

    def annotate_it(store: Store) -> None:
        with store.writing():
            if not store.image_infos([image_id]):
                raise unknown_image(image_id)
            annotate(store, {name: {image_id: text} for name, text in values.items()})

    await service.change(lambda: service.writer.change(annotate_it))
    return await run_in_threadpool(lambda: _model(service, _info(service, image_id)))


@router.get(
    "/images/{image_id}/thumbnail",
    response_class=Response,
    responses=responses(404) | PICTURE | NOT_MODIFIED,
)
async def show_thumbnail(
    image_id: Id,
    request: Request,
    side: Annotated[Side, Query(description="pixels at most")] = Side.USUAL,
    v: Version = "",
) -> Response:
    """Return a thumbnail, of at most 320 x 320 pixels unless another side is asked for."""
    service = service_of(request)
    return await run_in_threadpool(
        lambda: _picture(
            service,
            request,
            image_id,
            f"thumbnail-{side}",
            v,
            lambda info: service.opened.gallery.thumbnail(info, side),
        )
    )


@router.get(
    "/images/{image_id}/picture",
    response_class=Response,
    responses=responses(404) | PICTURE | NOT_MODIFIED,
)
async def show_picture(
    image_id: Id,
    request: Request,
    side: Annotated[int, Query(ge=16, le=SCREEN_PX, description="pixels at most")] = SCREEN_PX,
    v: Version = "",
) -> Response:
    """Return the upright picture, no larger than a screen needs."""
    service = service_of(request)
    return await run_in_threadpool(
        lambda: _picture(
            service,
            request,
            image_id,
            str(side),
            v,
            lambda info: as_jpeg(service.opened.gallery.picture(info.id, side)),
        )
    )


def _picture(
    service: Service,
    request: Request,
    image_id: int,
    size: str,
    version: str,
    make: Callable[[ImageInfo], bytes],
) -> Response:
    """Answer with a picture, or that the one which the client has is the same."""
    info = _info(service, image_id)
    try:
        state = state_of(info.path)
    except InaccessibleImageError as error:
        raise NotFoundError(f"The file {info.path.name} is gone.") from error
    tag = f'"{image_id}-{state}-{size}"'
    is_present = version != "" and version == version_of(info)
    headers = {"ETag": tag, "Cache-Control": KEPT_FOR_GOOD if is_present else KEPT}
    if tag in [given.strip() for given in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(make(info), media_type="image/jpeg", headers=headers)


def _info(service: Service, image_id: int) -> ImageInfo:
    info = service.opened.engine.store.image_infos([image_id]).get(image_id)
    if info is None:
        raise unknown_image(image_id)
    return info


def unknown_image(image_id: int) -> NotFoundError:
    """Return the error of a request about an image that is not in the store."""
    return NotFoundError(f"There is no image {image_id} in the store.")


def _model(service: Service, info: ImageInfo) -> ImageModel:
    store = service.opened.engine.store
    annotations = store.reader.annotations([info.id]).get(info.id, {})
    tags = tags_of(store, info.id)
    return ImageModel.of(info, service.key_of(info.path), tags=tags, annotations=annotations)
