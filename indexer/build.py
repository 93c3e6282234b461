"""Building: scan, decode, extract, commit, with progress and a report."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from indexer.errors import DegenerateFeatureError, ImageError, UnreadableImageError
from indexer.features.engine import Activations
from indexer.features.extractor import FeatureExtractor, ImageFeatures, Prepared
from indexer.images import MAX_PIXELS, ImageFacts, load_image
from indexer.scan import Task, scan_places
from indexer.store.records import Entry, FileState, KnownFile
from indexer.store.store import Store

WINDOW = 32  # images decoded ahead and run through the network together
WINDOWS_AHEAD = 3  # in the network while one is described
COMMIT_IMAGES = 512  # their region vectors wait in memory until then
COMMIT_S = 30.0

Progress = Callable[[int, int, int], None]
"""Called with (done, total, failed) as files are dealt with."""


@dataclass(frozen=True)
class BuildOptions:
    """Choices of an index run; `max_pixels` is the limit of one image."""

    max_pixels: int = MAX_PIXELS
    exclude: tuple[str, ...] = ()
    strict: bool = False
    retry_failed: bool = False
    workers: int = field(default_factory=lambda: max(2, os.cpu_count() or 2))


@dataclass
class IndexReport:
    """What an index run did, as counts of images; `failed` holds (path, reason)."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    regions: int = 0
    elapsed_s: float = 0.0

    @property
    def images_per_s(self) -> float:
        """Images that were decoded and described, per second of the whole run."""
        return (self.added + self.updated) / self.elapsed_s if self.elapsed_s else 0.0


@dataclass(frozen=True)
class _Decoded:
    """What a worker made of a task: `pixels` ready for the network, or why there are none."""

    task: Task
    file: FileState
    facts: ImageFacts | None = None
    pixels: Prepared | None = None
    reason: str | None = None


@dataclass(frozen=True)
class _Forwarded:
    """A window of `count` files: `items` are those to be written, `inputs` those of them with
    pixels, whose `maps` are on the way."""

    count: int
    items: list[_Decoded]
    inputs: list[Prepared]
    maps: Future[list[Activations]] | None


class Builder:
    """Brings a store up to date with places full of photos.

    `load_extractor` is called only where there is an image to describe. After an interruption,
    everything committed stays and the next run goes on from there.
    """

    def __init__(
        self,
        store: Store,
        load_extractor: Callable[[], FeatureExtractor],
        options: BuildOptions | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.store = store
        self.options = options or BuildOptions()
        self.report = IndexReport()
        self.interrupted = False  # set from outside: a run stops after the window it is at
        self._load_extractor = load_extractor
        self._progress = progress
        self._extractor: FeatureExtractor | None = None
        self._loading = threading.Lock()
        self._missing: dict[bytes, list[KnownFile]] = {}
        self._pending: list[Entry] = []
        self._committed_at = time.monotonic()

    def run(self, places: Sequence[Path]) -> IndexReport:
        """Index the images at `places` and forget those whose files are gone.

        Raises `NoImagesError`, `StoreLockedError`, and with `strict` the first `ImageError`.
        """
        started = time.monotonic()
        with self.store.writing():
            scan = scan_places(
                self.store,
                places,
                exclude=self.options.exclude,
                retry_failed=self.options.retry_failed,
            )
            self._note_known(scan.unchanged)
            gone = [row.id for row in scan.missing if row.reason]
            for row in scan.missing:
                if row.reason is None:
                    self._missing.setdefault(row.file.content_hash, []).append(row)
            try:
                self._work(scan.tasks)
            finally:
                # Also on Ctrl-C: what is described already is kept.
                self._commit()
            vanished = [row.id for rows in self._missing.values() for row in rows]
            self.store.remove(gone + vanished)
        self._extractor = None  # the network's memory is given back: training lists comes next
        self.report.removed = len(vanished)
        self.report.elapsed_s = time.monotonic() - started
        return self.report

    def _note_known(self, rows: Iterable[KnownFile]) -> None:
        roots = self.store.roots()
        for row in rows:
            if row.reason is None:
                self.report.unchanged += 1
            else:
                self.report.failed.append(
                    (str(roots[row.file.root_id] / row.file.path), row.reason)
                )

    def _work(self, tasks: Sequence[Task]) -> None:
        if not tasks:
            return
        done = 0
        self._tell(0, len(tasks))
        # While one window is described, the next ones are in the network: two at a time, so that
        # it never waits for the last image of a window.
        with ThreadPoolExecutor(2, "network") as network, _one_blas_thread(network):
            waiting: deque[_Forwarded] = deque()
            for window in _windows(self._decode_ahead(tasks)):
                if self.interrupted:
                    raise KeyboardInterrupt
                waiting.append(self._enter(window, network))
                if len(waiting) > WINDOWS_AHEAD:
                    done += self._finish(waiting.popleft())
                    self._tell(done, len(tasks))
            while waiting:
                done += self._finish(waiting.popleft())
                self._tell(done, len(tasks))

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total, len(self.report.failed))

    @property
    def extractor(self) -> FeatureExtractor:
        """The extractor, loaded on first use."""
        with self._loading:
            if self._extractor is None:
                self._extractor = self._load_extractor()
            return self._extractor

    def _decode_ahead(self, tasks: Sequence[Task]) -> Iterator[_Decoded]:
        """Decode in threads, at most two windows ahead of the network, in order."""
        queue: deque[Future[_Decoded]] = deque()
        pool = ThreadPoolExecutor(self.options.workers, "decode")
        try:
            for task in tasks:
                queue.append(pool.submit(self._decode, task))
                if len(queue) > 2 * WINDOW:
                    yield queue.popleft().result()
            while queue:
                yield queue.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _decode(self, task: Task) -> _Decoded:
        file = task.file
        try:
            file = replace(file, content_hash=_hash(task.path))
            if file.content_hash in self._missing or _is_same(task, file):
                return _Decoded(task, file)
        except ImageError as error:
            return _Decoded(task, file, reason=error.reason)
        return self._decode_pixels(task, file)

    def _decode_pixels(self, task: Task, file: FileState) -> _Decoded:
        extractor = self.extractor
        try:
            loaded = load_image(
                task.path, at_least=extractor.pixels_needed, max_pixels=self.options.max_pixels
            )
        except ImageError as error:
            return _Decoded(task, file, reason=error.reason)
        return _Decoded(task, file, loaded.facts, extractor.prepare(loaded.pixels))

    def _enter(self, window: list[_Decoded], network: ThreadPoolExecutor) -> _Forwarded:
        """Send what is to be described through the network, in its own thread."""
        fresh = [item for item in window if not self._keep_vectors(item)]
        # Two new files with the bytes of one missing file: only one of them was moved.
        fresh = [
            item
            if item.reason or item.pixels is not None
            else self._decode_pixels(item.task, item.file)
            for item in fresh
        ]
        inputs = [item.pixels for item in fresh if item.pixels is not None]
        maps = network.submit(self.extractor.forward, inputs) if inputs else None
        return _Forwarded(len(window), fresh, inputs, maps)

    def _finish(self, window: _Forwarded) -> int:
        """Describe what went through the network, and queue the window for the next commit.

        Returns how many files are dealt with.
        """
        maps = window.maps.result() if window.maps is not None else []
        described = iter(self._describe(window.inputs, maps))
        for item in window.items:
            features = next(described) if item.pixels is not None else item.reason
            if isinstance(features, ImageFeatures):
                self._add(item, features)
            else:
                self._fail(item, features or "")
        late = time.monotonic() - self._committed_at > COMMIT_S
        if len(self._pending) >= COMMIT_IMAGES or (late and self._pending):
            self._commit()
        return window.count

    def _describe(
        self, inputs: Sequence[Prepared], maps: Sequence[Activations]
    ) -> list[ImageFeatures | str]:
        """Return features, or the reason why there are none, for each image."""
        if not inputs:
            return []
        try:
            return list(self.extractor.describe(inputs, maps))
        except DegenerateFeatureError as error:
            if len(inputs) == 1:
                return [str(error)]
            # One of them has no direction: find out which.
            pairs = zip(inputs, maps, strict=True)
            return [result for item, a in pairs for result in self._describe([item], [a])]

    def _add(self, item: _Decoded, features: ImageFeatures) -> None:
        known = item.task.known
        if known is None or known.reason:
            self.report.added += 1
        else:
            self.report.updated += 1
        self.report.regions += len(features.boxes)
        replaces = known.id if known else None
        self._pending.append(Entry(item.file, item.facts, features, replaces=replaces))

    def _keep_vectors(self, item: _Decoded) -> bool:
        """Handle a file whose bytes are known: touched only, or moved. False if it is neither."""
        known = item.task.known
        if item.reason or item.pixels is not None:
            return False
        if known is not None and _is_same(item.task, item.file):
            self.store.move(known.id, item.file)
            self.report.unchanged += 1
            return True
        rows = self._missing.get(item.file.content_hash)
        if not rows:
            return False
        if known is not None:
            self.store.remove([known.id])
        self.store.move(rows.pop().id, item.file)
        self.report.moved += 1
        return True

    def _fail(self, item: _Decoded, reason: str) -> None:
        path = str(item.task.path)
        if self.options.strict:
            raise UnreadableImageError(path, reason)
        self.report.failed.append((path, reason))
        known = item.task.known
        replaces = known.id if known else None
        self._pending.append(Entry(item.file, reason=reason, replaces=replaces))

    def _commit(self) -> None:
        self.store.commit(self._pending)
        self._pending = []
        self._committed_at = time.monotonic()


def _one_blas_thread(thread: ThreadPoolExecutor) -> threadpool_limits:
    """Keep BLAS to one thread while the context is open: the network needs the others.

    The libraries are looked for in another thread, for a Ctrl-C that arrives in the callbacks that
    this takes would be lost; signals reach the main thread only.
    """
    return thread.submit(threadpool_limits, 1, "blas").result()


def _windows(items: Iterable[_Decoded]) -> Iterator[list[_Decoded]]:
    window: list[_Decoded] = []
    for item in items:
        window.append(item)
        if len(window) == WINDOW:
            yield window
            window = []
    if window:
        yield window


def _is_same(task: Task, file: FileState) -> bool:
    """Whether a good image was only touched: another time stamp, the same bytes."""
    known = task.known
    return (
        known is not None and known.reason is None and known.file.content_hash == file.content_hash
    )


def _hash(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError as error:
        raise UnreadableImageError(str(path), "vanished during the run") from error
    except OSError as error:
        raise UnreadableImageError(str(path), f"may not be read ({error.strerror})") from error
