"""Faults of file systems: which of them may pass, and what they are called here."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TypeVar

from indexer.sources.place import WEB

T = TypeVar("T")
TRIES = 4
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 10.0
BUSY = (429, 500, 502, 503, 504)
STATUS: dict[int, type[OSError]] = {
    401: PermissionError,
    403: PermissionError,
    404: FileNotFoundError,
    410: FileNotFoundError,
}


def faults_of(scheme: str) -> tuple[type[Exception], ...]:
    """Return the exceptions by which the packages of a kind of URL say that something failed."""
    found: list[type[Exception]] = [OSError, ValueError]
    if scheme == "s3":
        from botocore.exceptions import BotoCoreError, ClientError

        found += [BotoCoreError, ClientError]
    if scheme == "gs":
        found += _google_faults()
    from aiohttp import ClientError as HttpError

    return (*found, HttpError)


def _google_faults() -> list[type[Exception]]:
    try:
        from gcsfs.retry import HttpError
        from google.auth.exceptions import GoogleAuthError
    except ImportError:  # another implementation of the same kind of URL is registered
        return []
    return [HttpError, GoogleAuthError]


def retrying(scheme: str, call: Callable[[], T]) -> T:
    """Call again, with longer and longer waits, where a fault may pass.

    The packages for buckets do that themselves for all but an answer that breaks off.
    """
    from tenacity import (
        Retrying,
        retry_if_exception,
        stop_after_attempt,
        wait_exponential,
        wait_random,
    )

    again = Retrying(
        stop=stop_after_attempt(TRIES),
        wait=wait_exponential(FIRST_WAIT_S, LONGEST_WAIT_S) + wait_random(0, FIRST_WAIT_S),
        retry=retry_if_exception(lambda error: _may_pass(error, scheme)),
        reraise=True,
    )
    return again(call)


def _cause(error: BaseException) -> BaseException:
    """Return what a fault is: fsspec says of all faults of a web server that there is no file."""
    from aiohttp import ClientError

    is_vague = isinstance(error, FileNotFoundError) and isinstance(error.__cause__, ClientError)
    return error.__cause__ if is_vague and error.__cause__ is not None else error


def _may_pass(error: BaseException, scheme: str) -> bool:
    import aiohttp

    error = _cause(error)
    if isinstance(error, aiohttp.ClientPayloadError):
        return True
    if scheme not in WEB:
        return type(error).__name__ == "IncompleteRead"
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status in BUSY
    return isinstance(error, aiohttp.ClientConnectionError | ConnectionError | TimeoutError)


def translate(fault: Exception, place: str) -> OSError:
    """Return a fault as an `OSError` that says why; keys are never part of it."""
    error = _cause(fault)
    status = getattr(error, "status", None)
    if status is None and type(error).__name__ == "HttpError":
        status = getattr(error, "code", None)
    if status is not None and str(status).isdigit():
        kind = STATUS.get(int(status), OSError)
        return kind(errno.EIO, f"the server answers {status}", place)
    name = type(error).__name__
    if "Credentials" in name or "Auth" in name or "ProfileNotFound" in name:
        return PermissionError(errno.EACCES, _text(error), place)
    if isinstance(error, FileNotFoundError | PermissionError):
        return type(error)(error.errno or errno.EIO, _text(error), place)
    if isinstance(error, TimeoutError):
        return TimeoutError(errno.ETIMEDOUT, _text(error) or "no answer in time", place)
    return OSError(getattr(error, "errno", None) or errno.EIO, _text(error), place)


def _text(error: BaseException) -> str:
    said = str(getattr(error, "strerror", None) or error)
    if isinstance(error, FileNotFoundError):
        said = "there is no such file"
    return " ".join(said.split()).rstrip(".") or type(error).__name__
