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
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from indexer.errors import DegenerateFeatureError, ImageError, UnreadableImageError
from indexer.features.extractor import FeatureExtractor, ImageFeatures, Pooled, Prepared
from indexer.images import MAX_PIXELS, ImageFacts, load_image
from indexer.scan import Task, scan_places
from indexer.store.records import Entry, FileState, KnownFile
from indexer.store.store import Store

WINDOW = 32  # images that go through the network together, where it takes batches
WINDOWS_AHEAD = 3  # in the network while one is queued for the next commit
SPARE_WORKERS = 2  # decode while others wait for the network or the disk
HELD_BYTES = 64 << 20  # of one file, so that it is read but once
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
    workers: int = field(default_factory=lambda: (os.cpu_count() or 2) + SPARE_WORKERS)


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
class _Item:
    """What has become of a task: `pooled` activations, or the `reason` why there are none.

    Neither of them where the file's bytes are known, or where `pixels` are ready for a network
    that takes batches.
    """

    task: Task
    file: FileState
    facts: ImageFacts | None = None
    pixels: Prepared | None = None
    pooled: Pooled | None = None
    reason: str | None = None

    @property
    def is_known(self) -> bool:
        """Whether nothing was decoded, since the file's bytes are known."""
        return self.pixels is None and self.pooled is None and self.reason is None

    @property
    def is_waiting(self) -> bool:
        """Whether it has yet to go through a network that takes batches."""
        return self.pixels is not None


@dataclass(frozen=True)
class _Window:
    """A number of files: `items` are those to be written, `batched` those of them that are in the
    network."""

    count: int
    items: list[_Item]
    batched: Future[list[Future[_Item]]] | None


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
        workers = ThreadPoolExecutor(self.options.workers, "worker")
        # Where the network takes batches it gets two at a time, so that it never waits for the
        # last image of one.
        network = ThreadPoolExecutor(2, "network")
        try:
            with _one_blas_thread(network):
                waiting: deque[_Window] = deque()
                for window in self._work_ahead(tasks, workers):
                    if self.interrupted:
                        raise KeyboardInterrupt
                    waiting.append(self._enter(window, workers, network))
                    if len(waiting) > (WINDOWS_AHEAD if waiting[-1].batched else 0):
                        done += self._finish(waiting.popleft())
                        self._tell(done, len(tasks))
                while waiting:
                    done += self._finish(waiting.popleft())
                    self._tell(done, len(tasks))
        finally:
            network.shutdown(wait=True, cancel_futures=True)
            workers.shutdown(wait=True, cancel_futures=True)

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

    def _work_ahead(
        self, tasks: Sequence[Task], workers: ThreadPoolExecutor
    ) -> Iterator[list[_Item]]:
        """Decode, and pool where the network takes images one by one, in threads, in order.

        They are at most two windows ahead.
        """
        ahead: deque[list[Future[_Item]]] = deque()
        for window in _windows(tasks):
            ahead.append([workers.submit(self._work_on, task) for task in window])
            if len(ahead) > 2:
                yield _results(ahead.popleft())
        while ahead:
            yield _results(ahead.popleft())

    def _work_on(self, task: Task) -> _Item:
        file = task.file
        try:
            data, content_hash = _read(task.path)
        except ImageError as error:
            return _Item(task, file, reason=error.reason)
        item = _Item(task, replace(file, content_hash=content_hash))
        if content_hash in self._missing or _is_same(task, item.file):
            return item
        return self._look_into(item, data)

    def _look_into(self, item: _Item, data: bytes | None = None) -> _Item:
        """Decode an image, and pool it where the network takes images one by one.

        `data` are the bytes of its file, if they were read already.
        """
        extractor = self.extractor
        try:
            loaded = load_image(
                item.task.path if data is None else data,
                at_least=extractor.pixels_needed,
                max_pixels=self.options.max_pixels,
                name=str(item.task.path),
            )
        except ImageError as error:
            return replace(item, reason=error.reason)
        prepared = extractor.prepare(loaded.pixels)
        item = replace(item, facts=loaded.facts, pixels=prepared)
        if extractor.inference.batched:
            return item
        return _pooled(item, lambda: extractor.pool([prepared])[0])

    def _enter(
        self, window: list[_Item], workers: ThreadPoolExecutor, network: ThreadPoolExecutor
    ) -> _Window:
        """Handle the files whose bytes are known; send what is left through the network."""
        fresh = [item for item in window if not self._keep_vectors(item)]
        # Two new files with the bytes of one missing file: only one of them was moved.
        fresh = [self._look_into(item) if item.is_known else item for item in fresh]
        if not any(item.is_waiting for item in fresh):
            return _Window(len(window), fresh, None)
        return _Window(len(window), fresh, network.submit(self._run_batch, fresh, workers))

    def _run_batch(self, items: list[_Item], workers: ThreadPoolExecutor) -> list[Future[_Item]]:
        """Run the items that wait for it through the network; they are pooled in threads."""
        inputs = [item for item in items if item.is_waiting]
        pixels = [item.pixels for item in inputs if item.pixels is not None]
        maps = self.extractor.forward(pixels)
        return [
            workers.submit(_pooled, item, partial(self.extractor.pool_activations, prepared, a))
            for item, prepared, a in zip(inputs, pixels, maps, strict=True)
        ]

    def _finish(self, window: _Window) -> int:
        """Queue what was described for the next commit; return how many files are dealt with."""
        batched = iter(window.batched.result() if window.batched is not None else ())
        items = [next(batched).result() if item.is_waiting else item for item in window.items]
        pooled = [item.pooled for item in items if item.pooled is not None]
        whitened = iter(self.extractor.whiten(pooled) if pooled else ())
        for item in items:
            features = next(whitened) if item.pooled is not None else item.reason
            if isinstance(features, ImageFeatures):
                self._add(item, features)
            else:
                self._fail(item, str(features))
        late = time.monotonic() - self._committed_at > COMMIT_S
        if len(self._pending) >= COMMIT_IMAGES or (late and self._pending):
            self._commit()
        return window.count

    def _add(self, item: _Item, features: ImageFeatures) -> None:
        known = item.task.known
        if known is None or known.reason:
            self.report.added += 1
        else:
            self.report.updated += 1
        self.report.regions += len(features.boxes)
        replaces = known.id if known else None
        self._pending.append(Entry(item.file, item.facts, features, replaces=replaces))

    def _keep_vectors(self, item: _Item) -> bool:
        """Handle a file whose bytes are known: touched only, or moved. False if it is neither."""
        known = item.task.known
        if not item.is_known:
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

    def _fail(self, item: _Item, reason: str) -> None:
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


def _windows(tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
    """Yield `WINDOW` tasks at a time."""
    for start in range(0, len(tasks), WINDOW):
        yield tasks[start : start + WINDOW]


def _results(futures: list[Future[_Item]]) -> list[_Item]:
    futures[-1].result()  # waited for once, not for each: threads that wait and wake cost time
    return [future.result() for future in futures]


def _pooled(item: _Item, pool: Callable[[], Pooled]) -> _Item:
    """Return an item with what `pool` gives in place of its pixels, or with why it has none."""
    try:
        return replace(item, pooled=pool(), pixels=None)
    except DegenerateFeatureError as error:
        return replace(item, reason=str(error), pixels=None)


def _is_same(task: Task, file: FileState) -> bool:
    """Whether a good image was only touched: another time stamp, the same bytes."""
    known = task.known
    return (
        known is not None and known.reason is None and known.file.content_hash == file.content_hash
    )


def _read(path: Path) -> tuple[bytes | None, bytes]:
    """Return the bytes of a file, None where they are too many to be held, and their SHA-256."""
    try:
        with path.open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > HELD_BYTES:
                return None, hashlib.file_digest(file, "sha256").digest()
            data = file.readall()
    except FileNotFoundError as error:
        raise UnreadableImageError(str(path), "vanished during the run") from error
    except OSError as error:
        raise UnreadableImageError(str(path), f"may not be read ({error.strerror})") from error
    return data, hashlib.sha256(data).digest()
