"""Client: a server's store, searched as `SearchEngine` searches one on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx

from indexer.errors import CbirError, InvalidQueryError
from indexer.features.regions import Region
from indexer.sources.access import read_file
from indexer.sources.place import Place, named
from retrieval.query import Hit, Query
from ui.printable import printable
from ui.search_request import as_request

TIMEOUT_S = 90.0
LOOK_S = 0.5  # between two looks at how far a job is


class ServerError(CbirError):
    """A server refused a request, or cannot be reached; `status` is None then.

    `error` names the error of the library, if it was one.
    """

    def __init__(self, message: str, status: int | None = None, error: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error = error


class Client:
    """A store behind `cbir serve` or `cbir ui`; threads may share it.

    Hits are the same as those of a `SearchEngine` on that store; their paths are the server's. All
    methods raise `ServerError`.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        headers = {} if token is None else {b"Authorization": f"Bearer {token}".encode()}
        place = url.rstrip("/").removesuffix("/v1") + "/v1"
        try:
            self._http = httpx.Client(base_url=place, headers=headers, timeout=timeout_s)
        except httpx.InvalidURL as error:
            raise ServerError(f"{url!r} is not a valid URL: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- search -------------------------------------------------------------------------------

    def search(self, query: Query) -> list[Hit]:
        """Return the hits of a query, best first; its files are sent, and read by the server.

        Raises `InvalidQueryError` for a query without a number of hits, and for further queries
        that are not as `cbir query` makes them, see `as_request`.
        """
        asked, sent = as_request(query)
        if not sent:
            answer = self._send("POST", "/search", json=asked)
        else:
            files = [(part, (_name(file), _data(file))) for part, file in sent]
            form = {"query": json.dumps(asked)}
            answer = self._send("POST", "/search/upload", data=form, files=files)
        return [_hit(hit) for hit in answer["hits"]]

    def search_url(self, url: str, **options: Any) -> list[Hit]:
        """Return the hits of a picture that the server fetches; `options` as `/v1/search` has."""
        answer = self._send("POST", "/search", json={"url": url} | options)
        return [_hit(hit) for hit in answer["hits"]]

    # --- images -------------------------------------------------------------------------------

    def images(self, **choice: Any) -> Iterator[dict[str, Any]]:
        """Yield what is known of the images, or of those that pass a filter, by ascending id."""
        after: int | None = 0
        while after is not None:
            page = self._send("GET", "/images", params=choice | {"after": after})
            yield from page["images"]
            after = page["after"]

    def image(self, image_id: int) -> dict[str, Any]:
        """Return what is known of an image."""
        found: dict[str, Any] = self._send("GET", f"/images/{image_id}")
        return found

    def annotate(self, image_id: int, **values: str) -> dict[str, Any]:
        """Let fields of your own say this of an image, and return what is known of it."""
        found: dict[str, Any] = self._send("PUT", f"/images/{image_id}/annotations", json=values)
        return found

    def put(self, key: str, image: Path | bytes, *, wait: bool = True) -> int | None:
        """Put an image under a key, and return its id once it is searchable.

        None says that it will be with the server's next commit.
        """
        data = image if isinstance(image, bytes) else _read(image)
        answer = self._send(
            "PUT",
            _place_of(key),
            params={"wait": wait},
            content=data,
            headers={"Content-Type": "application/octet-stream"},
        )
        image_id: int | None = answer["image_id"]
        return image_id

    def remove(self, key: str) -> None:
        """Remove the image that was put under a key."""
        self._send("DELETE", _place_of(key))

    def thumbnail(self, image_id: int) -> bytes:
        """Return a thumbnail as a JPEG file."""
        return self._answer("GET", f"/images/{image_id}/thumbnail").content

    def facts(self) -> dict[str, Any]:
        """Return what the store holds."""
        found: dict[str, Any] = self._send("GET", "/store")
        return found

    # --- duplicates ---------------------------------------------------------------------------

    def duplicates(self, **choice: Any) -> Iterator[dict[str, Any]]:
        """Yield the groups that earlier searches found; `choice` as `/v1/duplicates` has it."""
        offset, total = 0, 1
        while offset < total:
            page = self._send("GET", "/duplicates", params=choice | {"offset": offset})
            yield from page["groups"]
            offset, total = offset + max(1, len(page["groups"])), page["total"]

    def search_duplicates(self, where: str = "", *, wait: bool = True) -> dict[str, Any]:
        """Search for duplicates, and return the job, once it has ended with `wait`."""
        job: dict[str, Any] = self._send("POST", "/duplicates/search", json={"where": where})
        while wait and job["state"] == "running":
            time.sleep(LOOK_S)
            job = self._send("GET", f"/jobs/{job['id']}")
        return job

    def decide_duplicates(
        self, images: Sequence[int], verdict: Literal["keep", "original", "forget"]
    ) -> None:
        """Decide that images all stay, or are copies of the first; or forget what was decided."""
        asked = {"images": list(images), "verdict": verdict}
        self._send("POST", "/duplicates/decisions", json=asked)

    # ------------------------------------------------------------------------------------------

    def _send(self, method: str, path: str, **request: Any) -> Any:
        answer = self._answer(method, path, **request)
        try:
            return answer.json()
        except ValueError as error:
            raise ServerError(f"{self._http.base_url} is no server of cbir.") from error

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            asked = self._http.build_request(method, path, **request)
            asked.read()  # a form is sent as a whole, and not by a write for each of its parts
            answer = self._http.send(asked)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ServerError(f"{self._http.base_url}: {error or type(error).__name__}") from error
        if answer.is_success:
            return answer
        try:
            problem = answer.json()
            raise ServerError(problem["detail"], answer.status_code, problem.get("error"))
        except (ValueError, KeyError, TypeError) as error:
            text = f"{self._http.base_url} answered {answer.status_code}: {answer.text[:200]}"
            raise ServerError(text, answer.status_code) from error


def _place_of(key: str) -> str:
    if key in (".", ".."):
        raise InvalidQueryError(f"{key!r} cannot be a key: it means a folder in an address.")
    return f"/images/by-key/{quote(key, safe='')}"


def _name(query: Query) -> str:
    return query.name or ("image" if query.path is None else printable(query.path.name))


def _data(query: Query) -> bytes:
    return _read(query.path) if query.path is not None else query.data or b""


def _read(path: Place) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise CbirError(f"{path} cannot be read: {error.strerror}.") from error


def _hit(fields: dict[str, Any]) -> Hit:
    box, quad = fields["box"], fields["quad"]
    return Hit(
        rank=fields["rank"],
        image_id=fields["image_id"],
        path=named(fields["path"]),
        score=fields["score"],
        region=None if box is None else Region(*box),
        quad=None if quad is None else tuple((x, y) for x, y in quad),
        inliers=fields["inliers"],
        mirrored=fields["mirrored"],
        inverted=fields["inverted"],
        confidence=fields["confidence"],
        verdict=fields["verdict"],
        annotations=fields["annotations"],
    )
