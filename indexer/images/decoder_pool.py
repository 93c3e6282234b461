"""Decoders in processes of their own, started when they are needed and used again.

They are plain child processes: those of `multiprocessing` run the caller's main module once more,
which Streamlit and scripts without a guard do not bear.
"""

from __future__ import annotations

import atexit
import datetime as dt
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

import numpy as np
from PIL import Image

from indexer.errors import (
    DamagedImageError,
    ImageError,
    ImageTooLargeError,
    InaccessibleImageError,
    UnreadableImageError,
)
from indexer.images.facts import ImageFacts
from indexer.images.formats import LoadedImage
from indexer.images.messages import Message, read_into, read_message, write_message
from indexer.images.request import ImageRequest
from indexer.sources.place import Place, absolute

COMMAND = (sys.executable, "-P", "-m", f"{__spec__.parent}.decoder_process")
ROOT = Path(__file__).parents[__name__.count(".")]  # where the outermost package lies
SETTINGS = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}  # which saves address space
ASKED = ("at_least", "part", "max_pixels", "label", "damaged", "oversize", "page")
ERRORS: dict[str, type[ImageError]] = {
    kind.__name__: kind
    for kind in (
        DamagedImageError,
        ImageTooLargeError,
        InaccessibleImageError,
        UnreadableImageError,
    )
}
BROKEN = (EOFError, ValueError, TypeError, KeyError, MemoryError)  # an answer that is none
IDLE_S = 60.0  # after which a decoder that nobody needs is ended: it takes 100 MB
START_S = 60.0  # for a process to start, a fraction of a second where the machine is not busy
PIPE_BYTES = 1 << 20  # so that most pictures go through in one go
LOG = 4096  # bytes of complaints that are looked at


class DecoderProcess:
    """A process that decodes one picture after the other, for one thread at a time."""

    def __init__(self) -> None:
        # The complaints of native code; both processes share one place in this file.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        try:
            self._process = subprocess.Popen(
                COMMAND,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=os.environ | SETTINGS | {"PYTHONPATH": paths},
                pipesize=PIPE_BYTES,
                start_new_session=True,  # Ctrl-C is for the program, which then ends it
            )
        except OSError:
            self._log.close()
            raise
        self._requests = cast(IO[bytes], self._process.stdin)
        self._answers = cast(BufferedReader, self._process.stdout)
        self._is_ready = False
        self._is_late = False
        self.is_idle = True
        self.idle_timer: threading.Timer | None = None

    def decode(
        self, source: Place | bytes, wanted: ImageRequest, time_limit_s: float
    ) -> LoadedImage:
        """Decode a picture; raises `ImageError`, also where the process does not survive it."""
        self.is_idle = False
        try:
            answer = self._ask(source, wanted, time_limit_s)
            while "needs" in answer:
                wanted.reserve(answer["needs"])
                with self._limited(time_limit_s):
                    write_message(self._requests, {"granted": answer["needs"]})
                    answer = self._read_answer()
            if "error" in answer:
                self._complaint()
                raise ERRORS[answer["error"]](answer["path"], answer["reason"])
            return self._image(answer)
        except (*BROKEN, OSError) as error:
            raise self._end(wanted.label, time_limit_s) from error

    def _ask(self, source: Place | bytes, wanted: ImageRequest, time_limit_s: float) -> Message:
        """Send a request and return the first answer to it."""
        if not self._is_ready:
            with self._limited(START_S):
                self._read_answer()
            self._is_ready = True
        request = {
            "path": None if isinstance(source, bytes) else str(absolute(source)),
            "wanted": {name: getattr(wanted, name) for name in ASKED},
            "pillow_limit": Image.MAX_IMAGE_PIXELS,
            "time_limit_s": time_limit_s,
        }
        with self._limited(time_limit_s):
            write_message(self._requests, request, source if isinstance(source, bytes) else b"")
            return self._read_answer()

    def _read_answer(self) -> Message:
        answer = read_message(self._answers)
        if answer is None:
            raise EOFError("the decoder has ended")
        if "shape" in answer:
            pixels = answer["pixels"] = np.empty(answer["shape"], np.uint8)
            read_into(self._answers, pixels.data.cast("B"))
        self.is_idle = "needs" not in answer
        return answer

    def _image(self, answer: Message) -> LoadedImage:
        facts = dict(answer["facts"])
        if facts["taken_at"]:
            facts["taken_at"] = dt.datetime.fromisoformat(facts["taken_at"])
        warnings = list(answer["warnings"])
        complaint = self._complaint()
        if complaint and not warnings:
            warnings.append(f"its decoder complains: {complaint[0]}")
        return LoadedImage(
            answer["pixels"],
            ImageFacts(**facts),
            answer["pages"],
            answer["page"],
            tuple(warnings),
        )

    def _complaint(self) -> list[str]:
        """Return the lines that native code printed since the last time."""
        self._log.seek(0)
        lines = self._log.read(LOG).decode("utf-8", "replace").splitlines()
        self._log.seek(0)
        self._log.truncate()
        return [line.strip() for line in lines if line.strip()]

    @contextmanager
    def _limited(self, seconds: float) -> Iterator[None]:
        """Kill the process where something takes too long."""

        def kill() -> None:
            self._is_late = True
            self._process.kill()

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end(self, label: str, time_limit_s: float) -> ImageError:
        """End a process that does not answer, and return why."""
        self.is_idle = False
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1)  # it may be about to end
        complaint = self._complaint()
        self.close()
        code = self._process.returncode
        if not self._is_ready:
            what = complaint[-1] if complaint else f"exit code {code}"
            return InaccessibleImageError(label, f"no decoder can be started: {what}")
        if self._is_late or code == -getattr(signal, "SIGXCPU", 0):
            return UnreadableImageError(
                label, f"takes more than {time_limit_s:g} s to decode; --time-limit allows more"
            )
        if code == -getattr(signal, "SIGKILL", 0):
            return InaccessibleImageError(label, "its decoder was killed, perhaps to free memory")
        if code < 0:
            return UnreadableImageError(
                label, f"its decoder crashed ({signal.Signals(-code).name})"
            )
        what = complaint[-1] if complaint else f"exit code {code}"
        return UnreadableImageError(label, f"its decoder failed: {what}")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._requests, self._answers, self._log):
            with suppress(OSError):  # what was not sent any more
                stream.close()


class DecoderPool:
    """Decoders for the threads of this process: as many as decode at the same time."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._idle: list[DecoderProcess] = []
        self._busy: set[DecoderProcess] = set()
        self._changing = threading.RLock()
        self._owner = os.getpid()

    @property
    def processes(self) -> int:
        """How many processes there are."""
        return len(self._idle) + len(self._busy)

    def decode(
        self, source: Place | bytes, wanted: ImageRequest, time_limit_s: float
    ) -> LoadedImage:
        """Decode a picture in a process of its own; raises `ImageError`."""
        try:
            process = self._take()
        except OSError as error:
            raise InaccessibleImageError(
                wanted.label, f"no decoder can be started: {error.strerror}"
            ) from error
        try:
            return process.decode(source, wanted, time_limit_s)
        finally:
            self._give_back(process)

    def close(self) -> None:
        """End all processes; more are started where they are needed."""
        with self._changing:
            processes = [*self._idle, *self._busy]
            self._idle.clear()
        if self._owner == os.getpid():
            for process in processes:
                process.close()

    def _take(self) -> DecoderProcess:
        with self._changing:
            if self._owner != os.getpid():  # a fork: they belong to the process that started them
                self._idle, self._busy, self._owner = [], set(), os.getpid()
            process = self._idle.pop() if self._idle else DecoderProcess()
            if process.idle_timer is not None:
                process.idle_timer.cancel()
            self._busy.add(process)
            return process

    def _give_back(self, process: DecoderProcess) -> None:
        """Keep a process for the next picture, for a while."""
        with self._changing:
            self._busy.discard(process)
            if not process.is_idle:  # also where Ctrl-C came in between
                process.close()
                return
            process.idle_timer = threading.Timer(self._idle_s, self._retire, (process,))
            process.idle_timer.daemon = True
            process.idle_timer.start()
            self._idle.append(process)

    def _retire(self, process: DecoderProcess) -> None:
        with self._changing:
            if process not in self._idle:
                return
            self._idle.remove(process)
        process.close()


POOL = DecoderPool()
atexit.register(POOL.close)
