"""Pictures that visitors ask with: in memory only, bounded in bytes, named by their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from threading import Lock

from cachetools import LRUCache

from indexer.errors import CbirError, ImageTooLargeError
from indexer.images.decode import load_image
from indexer.images.facts import ImageFacts
from ui.gallery import SCREEN_PX, as_jpeg

KEY_DIGITS = 16  # of the SHA-256, in hexadecimal
MEMORY_BYTES = 256_000_000
MAX_PIXELS = 100_000_000  # what visitors send is decoded on behalf of all


class ForgottenPictureError(CbirError):
    """A picture that was asked with is not in memory, or not any more."""


@dataclass(frozen=True)
class QueryPicture:
    """A picture that a visitor asks with; `preview` is a JPEG that fits a screen.

    `facts` hold the size of the upright original.
    """

    data: bytes
    name: str
    facts: ImageFacts
    preview: bytes

    @property
    def nbytes(self) -> int:
        """How much memory it takes."""
        return len(self.data) + len(self.preview)


class QueryPictures:
    """Query pictures by key, at most `limit` bytes of them: the least recently used go first.

    A key is made of the content, so a picture that is put again has the same. Threads may share it.
    """

    def __init__(self, limit: int = MEMORY_BYTES) -> None:
        self.limit = limit
        self._kept: LRUCache[str, QueryPicture] = LRUCache(limit, lambda kept: kept.nbytes)
        self._lock = Lock()

    def put(self, data: bytes, name: str) -> str:
        """Keep an image file, and return its key; `name` stands for it in errors.

        Raises `ImageError` where it is not a picture, or one that is too large.
        """
        key = hashlib.sha256(data).hexdigest()[:KEY_DIGITS]
        with self._lock:
            known = self._kept.get(key)
        kept = _read(data, name) if known is None else replace(known, name=name)
        if kept.nbytes > self.limit:
            raise ImageTooLargeError(
                name,
                f"it takes {kept.nbytes / 1e6:.3g} MB of memory; all query pictures together may "
                f"take {self.limit / 1e6:.3g}",
            )
        with self._lock:
            self._kept[key] = kept
        return key

    def get(self, key: str) -> QueryPicture:
        """Return the picture of a key; raises `ForgottenPictureError`."""
        with self._lock:
            kept = self._kept.get(key)
        if kept is None:
            raise ForgottenPictureError(
                "The query picture is no longer in memory: drop it on the page again."
            )
        return kept


@cache
def query_pictures() -> QueryPictures:
    """Return the query pictures of this process."""
    return QueryPictures()


def _read(data: bytes, name: str) -> QueryPicture:
    """Decode an image file; of a damaged one what can be read is taken, since the visitor sees it.

    Raises `ImageError`.
    """
    try:
        loaded = load_image(
            data, at_least=SCREEN_PX, max_pixels=MAX_PIXELS, name=name, damaged="take"
        )
    except ImageTooLargeError as error:
        reason = error.reason.split("; raise it with")[0]  # an option of the command line
        raise ImageTooLargeError(name, reason) from error
    preview = loaded.image
    preview.thumbnail((SCREEN_PX, SCREEN_PX))
    return QueryPicture(data, name, loaded.facts, as_jpeg(preview))
