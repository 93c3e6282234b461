"""Opening the folder of a photo in the file manager of this machine's desktop."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from indexer.images.page_paths import find_page
from indexer.sources.access import is_elsewhere
from indexer.sources.place import Place, Remote
from ui.api.problems import NotOfferedError
from ui.api.service import Wanted
from ui.file_manager import show_in_folder
from ui.page_routes.answering import number_in, require_images, work_for
from ui.shown import Shown

LOCAL_CLIENTS = ("127.0.0.1", "::1")
PASSED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host")  # what proxies add
NOT_LOCAL = (
    "Folders are opened on the machine of the server, so only for its own user: on a page of cbir "
    "ui without --host, asked from that machine."
)


async def open_folder(request: Request) -> Response:
    """Open the folder that holds the file of an image."""
    image_id = number_in(request, "hit")
    if not _is_own_user(request):
        raise NotOfferedError(NOT_LOCAL)

    def show(shown: Shown, _wanted: Wanted) -> dict[str, str]:
        require_images(shown, [image_id])
        file = find_page(shown.gallery.file(image_id))[0]
        if isinstance(file, Remote) or is_elsewhere(file):
            raise NotOfferedError(f"{file.name} lies in no folder of this machine: {file}")
        show_in_folder(file)
        return {"opened": str(file.parent)}

    return JSONResponse(await work_for(request, show))


def can_open_folders(request: Request, path: Place) -> bool:
    """Whether a request could open the folder of an image."""
    file = find_page(path)[0]
    return _is_own_user(request) and not (isinstance(file, Remote) or is_elsewhere(file))


def _is_own_user(request: Request) -> bool:
    """Whether whoever asks sits at the machine of the server, as far as that can be known."""
    is_near = request.client is not None and request.client.host in LOCAL_CLIENTS
    was_passed_on = any(name in request.headers for name in PASSED_ON)
    return bool(request.app.state.is_local) and is_near and not was_passed_on
