"""Answers to a page, errors among them, and what it says in an address."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from indexer.errors import CbirError, InvalidQueryError
from retrieval.query import Hit
from ui.answers import DEPTHS, as_hits, search, usable
from ui.api.problems import NotFoundError, problem_of
from ui.api.service import Service, Wanted
from ui.asked import Asked
from ui.printable import printable
from ui.query_pictures import ForgottenPictureError
from ui.running_jobs import JobRunningError
from ui.shown import Shown, shown
from ui.zipped_hits import SelectionTooLargeError

MOST_IDS = 2000  # of an address
LONGEST_ID = 18  # digits: all that fit into 64 bits

T = TypeVar("T")
Work = Callable[[Shown, Wanted], T]


class UploadTooLargeError(CbirError):
    """A file that is larger than a query picture may be."""


STATUS: dict[type[CbirError], int] = {
    ForgottenPictureError: 404,
    UploadTooLargeError: 413,
    SelectionTooLargeError: 413,
    JobRunningError: 409,
}
"""Of errors that only pages meet; others have that of the API."""


def answer_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer with what went wrong, in a sentence."""
    problem = problem_of(error)
    status = next((s for kind, s in STATUS.items() if isinstance(error, kind)), problem.status)
    return JSONResponse({"error": problem.detail}, status)


def answer_failure(request: Request, _error: Exception) -> JSONResponse:
    """Answer to a request that met a bug, which the log tells."""
    return answer_error(request, HTTPException(500, "The server has failed; its log says why."))


async def work_for(request: Request, work: Work[T]) -> T:
    """Do work on the store that is shown, in a thread, as long as somebody waits for it."""
    service: Service = request.app.state.service
    return await service.answer(request, lambda wanted: work(shown(service.path), wanted))


# --- what an address says -------------------------------------------------------------------------


def asked_of(request: Request, shown: Shown) -> tuple[Asked, list[str]]:
    """Return what is asked, as far as the store can be asked it, and why the rest is left out.

    That is what the page itself shows, with the same reasons above it.
    """
    values = request.query_params
    asked, problems = Asked.read({name: values.getlist(name) for name in values})
    part, more = usable(shown, asked)
    return part, [*problems, *more]


def number_in(request: Request, name: str, usual: int | None = None, most: int = 2**62) -> int:
    """Return a number from 0; raises `InvalidQueryError` for anything else."""
    text = request.query_params.get(name, "")
    if usual is not None and name not in request.query_params:
        return usual
    number = _number(text)
    if number is None or number > most:
        raise InvalidQueryError(
            f"{name} in the address is {printable(text)!r}; it must be a whole number"
            + (f" up to {most}." if most < 2**62 else ".")
        )
    return number


def ids_in(request: Request, name: str = "ids") -> list[int]:
    """Return the images that a parameter names, each once; raises `InvalidQueryError`."""
    texts = [text for text in request.query_params.get(name, "").split(",") if text]
    numbers = [_number(text) for text in texts]
    found = [number for number in dict.fromkeys(numbers) if number is not None]
    if not found or None in numbers:
        raise InvalidQueryError(f"{name} in the address must be numbers of images, such as 7,12.")
    if len(found) > MOST_IDS:
        raise InvalidQueryError(
            f"{name} in the address names {len(found):,} images; it takes {MOST_IDS:,}."
        )
    return found


def _number(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) <= LONGEST_ID
    return int(text) if is_number else None


# --- hits by their images -------------------------------------------------------------------------


def require_images(shown: Shown, ids: list[int]) -> list[Hit]:
    """Return images in the shape of hits; raises `NotFoundError` where some are gone."""
    hits = as_hits(shown, ids)
    if len(hits) < len(ids):
        there = {hit.image_id for hit in hits}
        gone = ", ".join(str(id_) for id_ in ids if id_ not in there)
        raise NotFoundError(f"The collection has no image {gone} any more; load the page again.")
    return hits


def hits_by_id(shown: Shown, asked: Asked, ids: list[int], wanted: Wanted) -> dict[int, Hit]:
    """Return those hits of what is asked that are among these images; raises `CbirError`.

    The deeper search is for what the shallower does not have: what was shown is kept.
    """
    found: dict[int, Hit] = {}
    for depth in DEPTHS if asked.has_query else ():
        hits = {hit.image_id: hit for hit in search(shown, asked, depth, wanted)}
        found |= {id_: hits[id_] for id_ in ids if id_ in hits and id_ not in found}
        if len(found) == len(ids) or len(hits) < depth:
            break
    return found
