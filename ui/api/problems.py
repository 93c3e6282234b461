"""Problems: errors as RFC 9457 has them, in the words of the command line."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from indexer.errors import (
    CbirError,
    FetchError,
    ImageTooLargeError,
    NoImagesError,
    OutsideRootsError,
    StoreChangedError,
    StoreCorruptError,
    StoreError,
    StoreLockedError,
    StoreNotFoundError,
)
from ui.printable import printable

MEDIA_TYPE = "application/problem+json"
MAX_FAULTS = 10  # that are told of one request
MAX_NAME = 100  # characters of a field's name
HUNG_UP = 499  # as nginx logs it
AGAIN_S = 5  # after which a store that another process writes to may be free


class Problem(BaseModel):
    """An error, see RFC 9457; `error` is the name of the error in the library."""

    type: str = "about:blank"
    title: str = Field(examples=["Unprocessable Content"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["Box 0,0,900,900 does not lie inside the image of 640×480."])
    error: str | None = Field(default=None, examples=["InvalidRegionError"])


class NotFoundError(CbirError):
    """What a path names is not there."""


class NotOfferedError(CbirError):
    """The server was started without what this request needs."""


class NotKeptError(CbirError):
    """The server cannot write or remove the file of an image."""


class AtWorkError(CbirError):
    """Only one of these can be at work at a time."""


class SearchTimeoutError(CbirError):
    """A search took longer than the server allows."""


class GoneError(CbirError):
    """Who asked has hung up, and gets no answer."""


class TooBusyError(CbirError):
    """As many searches run and wait as the server allows; ask again after `again_s` seconds."""

    def __init__(self, again_s: int) -> None:
        super().__init__(f"Too many searches at a time; ask again in {again_s} s.")
        self.again_s = again_s


# The first that fits counts; any other error is what the client asked for.
STATUS: dict[type[CbirError], int] = {
    NotFoundError: 404,
    NoImagesError: 404,
    OutsideRootsError: 403,
    NotOfferedError: 403,
    ImageTooLargeError: 413,
    AtWorkError: 409,
    FetchError: 422,
    TooBusyError: 429,
    GoneError: HUNG_UP,
    NotKeptError: 503,
    SearchTimeoutError: 503,
    StoreLockedError: 503,
    StoreChangedError: 503,
    StoreNotFoundError: 503,
    StoreCorruptError: 503,
    StoreError: 409,
    CbirError: 422,
}
DESCRIPTIONS = {
    401: "No token, or a wrong one",
    403: "Refused",
    404: "Not found",
    408: "The body came too slowly",
    409: "The store cannot do that",
    413: "The body or the picture is too large",
    422: "What was asked for cannot be answered",
    429: "Too many searches at a time: see Retry-After",
    503: "Not now: see Retry-After",
}


def responses(*further: int) -> dict[int | str, dict[str, Any]]:
    """Return the problems that a route may answer with, for its description."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found = sorted({400, 401, 403, 408, 409, 413, 422, 503, *further})
    return {
        status: {"description": DESCRIPTIONS.get(status, "Not a valid request"), "content": content}
        for status in found
    }


def problem_of(error: Exception) -> Problem:
    """Return the problem that an error is."""
    if isinstance(error, HTTPException):
        return _problem(error.status_code, str(error.detail))
    status = next((s for kind, s in STATUS.items() if isinstance(error, kind)), 500)
    return _problem(status, str(error), type(error).__name__)


def _problem(status: int, detail: str, error: str | None = None) -> Problem:
    title = "Client Closed Request" if status == HUNG_UP else HTTPStatus(status).phrase
    return Problem(title=title, status=status, detail=printable(detail), error=error)


def answer_problem(error: Exception) -> JSONResponse:
    """Return the answer to a request that failed."""
    problem = problem_of(error)
    headers = dict(getattr(error, "headers", None) or {})
    if isinstance(error, TooBusyError):
        headers["Retry-After"] = str(error.again_s)
    elif problem.status == 503:
        headers["Retry-After"] = str(AGAIN_S)
    return JSONResponse(
        problem.model_dump(), problem.status, headers=headers, media_type=MEDIA_TYPE
    )


async def answer_error(_request: Request, error: Exception) -> JSONResponse:
    """Answer as `answer_problem` does, as a handler of errors."""
    return answer_problem(error)


def refusal(status: int, why: str) -> JSONResponse:
    """Return the answer to a request that is refused: 401 without the token, or 403."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return answer_problem(HTTPException(status, why, headers))


def answer_invalid(error: RequestValidationError, kind: str = "") -> JSONResponse:
    """Return the answer to a request whose fields are not valid: what is wrong with each.

    `kind` is the type of its content.
    """
    faults = error.errors()
    found = []
    for fault in faults[:MAX_FAULTS]:
        place = ".".join(str(part)[:MAX_NAME] for part in fault["loc"] if part != "body")
        found.append(f"{place or 'body'}: {fault['msg']}")
    if len(faults) > MAX_FAULTS:
        found.append(f"and {len(faults) - MAX_FAULTS} more")
    if kind.startswith("application/x-www-form-urlencoded"):
        found.append("this takes JSON: send the header Content-Type: application/json")
    problem = _problem(422, "; ".join(found), "InvalidRequest")
    return JSONResponse(problem.model_dump(), 422, media_type=MEDIA_TYPE)


def answer_with_problems(api: FastAPI) -> None:
    """Let an application answer every error as a problem."""

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, RequestValidationError):
            return answer_invalid(error, request.headers.get("content-type", ""))
        return answer_problem(error)

    async def failed(_request: Request, _error: Exception) -> JSONResponse:
        return answer_problem(HTTPException(500, "The server has failed; its log says why."))

    api.add_exception_handler(Exception, failed)
    api.add_exception_handler(CbirError, answer_error)
    api.add_exception_handler(HTTPException, answer_error)
    api.add_exception_handler(RequestValidationError, invalid)
