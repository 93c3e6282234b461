"""Picked images over HTTP, to be saved: one ZIP file with a table, or the table alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from retrieval.query import Hit
from ui.api.service import Wanted
from ui.asked import Asked
from ui.page_routes.answering import asked_of, hits_by_id, ids_in, require_images, work_for
from ui.saved_hits import TABLE, as_table
from ui.shown import Shown
from ui.zipped_hits import require_bounded, zip_hits

CHUNK_BYTES = 1 << 20


async def save_zip(request: Request) -> Response:
    """Answer with the photos of picked images and a table of them.

    With `check`, only say whether they are too many: no browser shows why a file did not come.
    """
    ids = ids_in(request)

    def bounded(shown: Shown, wanted: Wanted) -> list[Hit]:
        hits = _picked(shown, asked_of(request, shown)[0], ids, wanted)
        require_bounded(shown.store, hits)
        return hits

    def zipped(shown: Shown, wanted: Wanted) -> io.BytesIO:
        return zip_hits(bounded(shown, wanted), [*shown.store.roots().values()])

    if "check" in request.query_params:
        await work_for(request, bounded)
        return Response(status_code=204)
    file = await work_for(request, zipped)
    headers = _attached("hits.zip") | {"Content-Length": str(file.getbuffer().nbytes)}
    return StreamingResponse(_chunks(file), media_type="application/zip", headers=headers)


async def save_table(request: Request) -> Response:
    """Answer with a table of picked images."""
    ids = ids_in(request)

    def table(shown: Shown, wanted: Wanted) -> bytes:
        return as_table(_picked(shown, asked_of(request, shown)[0], ids, wanted))

    data = await work_for(request, table)
    return Response(data, media_type="text/csv", headers=_attached(TABLE))


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}


def _chunks(file: io.BytesIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _picked(shown: Shown, asked: Asked, ids: list[int], wanted: Wanted) -> list[Hit]:
    """Return images as the hits that they are, in the order in which they were picked.

    Those that are none, such as all where nothing is asked, are numbered by that order. Raises
    `NotFoundError` where some are gone.
    """
    images = require_images(shown, ids)
    hits = hits_by_id(shown, asked, ids, wanted)
    if len(hits) == len(ids):
        return [hits[id_] for id_ in ids]
    said = shown.store.reader.annotations(ids)
    return [
        replace(
            hits.get(image.image_id, image), rank=rank, annotations=said.get(image.image_id, {})
        )
        for rank, image in enumerate(images, 1)
    ]
