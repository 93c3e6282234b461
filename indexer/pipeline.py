"""Pipeline: reading, decoding, the network and the whitening of many files, side by side."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from io import FileIO
from pathlib import Path

from threadpoolctl import threadpool_limits

from indexer.errors import DegenerateFeatureError, ImageError, UnreadableImageError
from indexer.features.extractor import FeatureExtractor, ImageFeatures, Pooled, Prepared
from indexer.images import MAX_PIXELS, ImageFacts, load_image
from indexer.scan import Task
from indexer.store.records import FileState

WINDOW = 32  # files that are worked on, and go through the network or are whitened, together
PART = 4  # files that a worker takes at a time
WINDOWS_AHEAD = 2  # on which the workers are while one is handed over
BATCHES_AHEAD = 3  # in a network that takes batches, while one is handed over
SPARE_WORKERS = 2  # decode while others wait for the network or the disk
HELD_BYTES = 64 << 20  # of one file, so that it is read but once


@dataclass(frozen=True)
class Item:
    """What has become of a file: its `features`, or the `reason` why there are none.

    Neither of them where its bytes are known already.
    """

    task: Task
    file: FileState
    facts: ImageFacts | None = None
    features: ImageFeatures | None = None
    reason: str | None = None


@dataclass(frozen=True)
class _Step:
    """An item on its way: `prepared` for a network that takes batches, or `pooled`."""

    item: Item
    prepared: Prepared | None = None
    pooled: Pooled | None = None


@dataclass(frozen=True)
class _Window:
    """Steps in order; `batched` are those of them that were in the network, as they come out."""

    steps: list[_Step]
    batched: Future[list[Future[_Step]]] | None


class Pipeline:
    """Describes files; only a few windows of them are in memory at a time.

    On a CPU, where the network takes images one by one, a worker takes a file all the way from its
    bytes to pooled rows, so that little waits for anything. Where the network takes batches, as on
    a GPU, workers decode and pool, and batches run between the two.

    `is_known` says whether a file with these bytes (their SHA-256) needs no description;
    `load_extractor` is called only where there is an image to describe.
    """

    def __init__(
        self,
        load_extractor: Callable[[], FeatureExtractor],
        is_known: Callable[[Task, bytes], bool],
        *,
        workers: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.workers = workers or (os.cpu_count() or 2) + SPARE_WORKERS
        self.max_pixels = max_pixels
        self._load_extractor = load_extractor
        self._is_known = is_known
        self._extractor: FeatureExtractor | None = None
        self._loading = threading.Lock()

    def run(self, tasks: Sequence[Task]) -> Generator[list[Item], None, None]:
        """Yield the items of the tasks in order, a window at a time.

        Close the iterator to end early: what has not begun is not begun any more.
        """
        workers = ThreadPoolExecutor(self.workers, "worker")
        # Two batches at a time, so that the network never waits for the last image of one.
        network = ThreadPoolExecutor(2, "network")
        waiting: deque[_Window] = deque()
        try:
            with _one_blas_thread(network):
                for steps in self._work_ahead(tasks, workers):
                    waiting.append(self._enter(steps, workers, network))
                    if len(waiting) > (BATCHES_AHEAD if waiting[-1].batched else 0):
                        yield self._finish(waiting.popleft())
                while waiting:
                    yield self._finish(waiting.popleft())
        finally:
            network.shutdown(wait=True, cancel_futures=True)
            workers.shutdown(wait=True, cancel_futures=True)

    def describe(self, item: Item) -> Item:
        """Return an item with its features, or why it has none, its bytes known or not."""
        step = self._look_into(item)
        if (prepared := step.prepared) is not None:
            step = _pool(step, lambda: self.extractor.pool([prepared])[0])
        [described] = self._finish(_Window([step], None))
        return described

    @property
    def extractor(self) -> FeatureExtractor:
        """The extractor, loaded on first use."""
        with self._loading:
            if self._extractor is None:
                self._extractor = self._load_extractor()
            return self._extractor

    def _work_ahead(
        self, tasks: Sequence[Task], workers: ThreadPoolExecutor
    ) -> Iterator[list[_Step]]:
        """Let the workers do their part, in order."""
        ahead: deque[list[Future[list[_Step]]]] = deque()
        for window in _parts(tasks, WINDOW):
            ahead.append([workers.submit(self._work_on, part) for part in _parts(window, PART)])
            if len(ahead) > WINDOWS_AHEAD:
                yield _results(ahead.popleft())
        while ahead:
            yield _results(ahead.popleft())

    def _work_on(self, tasks: Sequence[Task]) -> list[_Step]:
        """Take files as far as they go without others; each stage for all of them in turn.

        A processor is faster at what it has just done: code and weights are in its caches still.
        """
        steps = [self._decode(task) for task in tasks]
        return [self._pool_alone(step) for step in steps]

    def _decode(self, task: Task) -> _Step:
        try:
            data, content_hash = _read(task.path)
        except ImageError as error:
            return _Step(Item(task, task.file, reason=error.reason))
        item = Item(task, replace(task.file, content_hash=content_hash))
        return _Step(item) if self._is_known(task, content_hash) else self._look_into(item, data)

    def _look_into(self, item: Item, data: bytes | None = None) -> _Step:
        """Decode an image; `data` are the bytes of its file, if they were read already."""
        extractor = self.extractor
        try:
            loaded = load_image(
                item.task.path if data is None else data,
                at_least=extractor.pixels_needed,
                max_pixels=self.max_pixels,
                name=str(item.task.path),
            )
        except ImageError as error:
            return _Step(replace(item, reason=error.reason))
        return _Step(replace(item, facts=loaded.facts), extractor.prepare(loaded.pixels))

    def _pool_alone(self, step: _Step) -> _Step:
        """Forward and pool a step, unless it is to be forwarded in a batch."""
        prepared = step.prepared
        if prepared is None or self.extractor.inference.batched:
            return step
        return _pool(step, lambda: self.extractor.pool([prepared])[0])

    def _enter(
        self, steps: list[_Step], workers: ThreadPoolExecutor, network: ThreadPoolExecutor
    ) -> _Window:
        """Send through the network what waits for it."""
        if all(step.prepared is None for step in steps):
            return _Window(steps, None)
        return _Window(steps, network.submit(self._run_batch, steps, workers))

    def _run_batch(self, steps: list[_Step], workers: ThreadPoolExecutor) -> list[Future[_Step]]:
        inputs = [(step, step.prepared) for step in steps if step.prepared is not None]
        maps = self.extractor.forward([prepared for _, prepared in inputs])
        return [
            workers.submit(_pool, step, partial(self.extractor.pool_activations, prepared, a))
            for (step, prepared), a in zip(inputs, maps, strict=True)
        ]

    def _finish(self, window: _Window) -> list[Item]:
        """Whiten what is pooled."""
        batched = iter(window.batched.result() if window.batched is not None else ())
        steps = [s if s.prepared is None else next(batched).result() for s in window.steps]
        pooled = [step.pooled for step in steps if step.pooled is not None]
        whitened = iter(self.extractor.whiten(pooled) if pooled else ())
        items = []
        for step in steps:
            item = step.item
            if step.pooled is not None:
                result = next(whitened)
                if isinstance(result, ImageFeatures):
                    item = replace(item, features=result)
                else:
                    item = replace(item, reason=str(result))
            items.append(item)
        return items


def _parts(tasks: Sequence[Task], size: int) -> Iterator[Sequence[Task]]:
    for start in range(0, len(tasks), size):
        yield tasks[start : start + size]


def _results(futures: list[Future[list[_Step]]]) -> list[_Step]:
    return [step for future in futures for step in future.result()]


def _pool(step: _Step, pool: Callable[[], Pooled]) -> _Step:
    """Return a step with what `pool` gives, or with why there is nothing."""
    try:
        return _Step(step.item, pooled=pool())
    except DegenerateFeatureError as error:
        return _Step(replace(step.item, reason=str(error)))


def _one_blas_thread(thread: ThreadPoolExecutor) -> threadpool_limits:
    """Keep BLAS to one thread while the context is open: the network needs the others.

    The libraries are looked for in another thread, for a Ctrl-C that arrives in the callbacks that
    this takes would be lost; signals reach the main thread only.
    """
    return thread.submit(threadpool_limits, 1, "blas").result()


def _read(path: Path) -> tuple[bytes | None, bytes]:
    """Return the bytes of a file, None where they are too many to be held, and their SHA-256."""
    try:
        with FileIO(path) as file:
            if os.fstat(file.fileno()).st_size > HELD_BYTES:
                return None, hashlib.file_digest(file, "sha256").digest()
            data = file.readall()
    except FileNotFoundError as error:
        raise UnreadableImageError(str(path), "vanished during the run") from error
    except OSError as error:
        raise UnreadableImageError(str(path), f"may not be read ({error.strerror})") from error
    return data, hashlib.sha256(data).digest()
