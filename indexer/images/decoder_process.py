"""A decoder in a process of its own: `python -m indexer.images.decoder_process`.

It answers one request after the other on its standard input until that ends. For each it first says
how many bytes it needs, and goes on when these are granted.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO

import cv2
import numpy as np
from PIL import Image

from indexer.errors import ImageError
from indexer.images.formats import LoadedImage, decode_image
from indexer.images.messages import Message, read_message, write_message
from indexer.images.request import ImageRequest
from indexer.sources.access import fetch_image, is_elsewhere
from indexer.sources.place import to_place

SLACK = 1 << 30  # bytes of addresses, most of them never used: threads, libraries, fragments
FACTOR = 2  # times what the header says: a decoder may not need more
LARGEST_FILE = 1 << 20  # bytes that native code may write: messages, and nothing else
SPARE_S = 5  # of processor time more than is allowed, after which an orphan ends by itself
STATUS = Path("/proc/self/statm")


class Decoder:
    """Answers requests that come in on one stream with pictures on another."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests = requests
        self._answers = answers
        self._time_limit_s = 0.0

    def serve(self) -> None:
        """Say that it is ready, and answer requests until there are no more."""
        write_message(self._answers, {"ready": True})
        while (request := read_message(self._requests)) is not None:
            self._answer(request)

    def _answer(self, request: Message) -> None:
        data = self._requests.read(request["size"])
        Image.MAX_IMAGE_PIXELS = request["pillow_limit"]
        wanted = ImageRequest(**request["wanted"], reserve=self._reserve)
        path = request["path"]
        limit_memory(0)
        self._time_limit_s = request["time_limit_s"]
        limit_time(self._time_limit_s)
        try:
            with _opened(path, data) as source:
                loaded = decode_image(source, wanted)
        except ImageError as error:
            failure = {"error": type(error).__name__, "path": error.path, "reason": error.reason}
            write_message(self._answers, failure)
        else:
            self._write_image(loaded)

    def _reserve(self, size: int) -> None:
        write_message(self._answers, {"needs": size})
        if read_message(self._requests) is None:
            sys.exit()  # whoever asked is gone
        limit_memory(size)
        limit_time(self._time_limit_s)

    def _write_image(self, loaded: LoadedImage) -> None:
        facts = loaded.facts
        answer = {
            "facts": {
                "width": facts.width,
                "height": facts.height,
                "format": facts.format,
                "taken_at": facts.taken_at.isoformat() if facts.taken_at else None,
                "camera": facts.camera,
            },
            "shape": loaded.pixels.shape,
            "pages": loaded.pages,
            "page": loaded.page,
            "warnings": loaded.warnings,
        }
        write_message(self._answers, answer, np.ascontiguousarray(loaded.pixels).data.cast("B"))


@contextlib.contextmanager
def _opened(path: str | None, data: bytes) -> Iterator[Path | IO[bytes]]:
    """Yield what is to be decoded: bytes, a file, or one elsewhere of which parts are fetched."""
    if path is None:
        yield BytesIO(data)
        return
    place = to_place(path)
    if isinstance(place, Path) and not is_elsewhere(place):
        yield place
        return
    fetched = fetch_image(place, 0)
    with BytesIO(fetched) if isinstance(fetched, bytes) else fetched as file:
        yield file


def limit_memory(size: int) -> None:
    """Let this process take so many bytes, and as many again, besides those that it has."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # Linux alone keeps to such limits
        import resource

        pages = int(STATUS.read_text("ascii").split()[0])
        limit = pages * resource.getpagesize() + FACTOR * size + SLACK
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def limit_time(seconds: float) -> None:
    """End this process after so many seconds of work of all of its threads, should nobody else."""
    with contextlib.suppress(ImportError, OSError, ValueError):  # not on Windows
        import resource

        spent = time.process_time()
        limit = int(spent + (seconds + SPARE_S) * (os.cpu_count() or 1))
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def main() -> None:
    """Serve the process that started this one.

    What native code prints goes to where its complaints go.
    """
    warnings.simplefilter("ignore")  # Pillow's, of what can be used all the same
    cv2.setNumThreads(1)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    Decoder(sys.stdin.buffer, answers).serve()


if __name__ == "__main__":
    main()
