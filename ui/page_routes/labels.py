"""Labels of images over HTTP: as a file to be saved, and read from one."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from indexer.errors import InvalidLabelsError
from retrieval.labels import dump_labels, load_labels
from ui.api.service import Wanted
from ui.page_routes.answering import ids_in, work_for
from ui.printable import printable
from ui.shown import Shown

FILE = "labels.json"
MOST_BYTES = 4_000_000  # of a file: about 40,000 labels
RIGHT, WRONG = "right", "wrong"


async def save_labels(request: Request) -> Response:
    """Answer with a file of labels: of the images `right` and `wrong`."""
    labels = {
        image_id: name == RIGHT
        for name in (WRONG, RIGHT)
        if request.query_params.get(name)
        for image_id in ids_in(request, name)
    }

    def dump(shown: Shown, _wanted: Wanted) -> str:
        return dump_labels(shown.store, labels)

    headers = {"Content-Disposition": f'attachment; filename="{FILE}"', "Cache-Control": "no-store"}
    return Response(await work_for(request, dump), media_type="application/json", headers=headers)


async def read_labels(request: Request) -> Response:
    """Answer with the labels that a file has, by image id, and with the images that are unknown."""
    data = await _read(request)

    def load(shown: Shown, _wanted: Wanted) -> dict[str, Any]:
        labels, unknown = load_labels(shown.store, data)
        return {"labels": labels, "unknown": [printable(path) for path in unknown]}

    return JSONResponse(await work_for(request, load))


async def _read(request: Request) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MOST_BYTES:
            raise InvalidLabelsError(
                f"The labels file has more than {MOST_BYTES // 1_000_000} MB: that is no file that "
                "this page has saved."
            )
    return bytes(data)
