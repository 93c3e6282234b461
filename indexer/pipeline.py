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
from itertools import chain, zip_longest
from pathlib import Path
from typing import TypeVar

from threadpoolctl import threadpool_limits

from indexer.errors import ImageError, UnreadableImageError
from indexer.features.engine import Activations
from indexer.features.extractor import FeatureExtractor, ImageFeatures, Pooled
from indexer.features.inputs import Prepared
from indexer.images import MAX_PIXELS, ImageFacts, load_image
from indexer.scan import Task
from indexer.store.records import FileState

WINDOW = 64  # files that are worked on, and go through the network or are whitened, together
SLIDING_WINDOW = 16  # the same where each of an image's windows enters the network by itself
PART = 8  # files that a worker takes at a time
WHITENED = 32  # images together
WINDOWS_AHEAD = 1  # in the network while one is handed over
BATCHES_AHEAD = 3  # the same where the network takes batches
SPARE_WORKERS = 2  # decode while others wait for the network or the disk
HELD_BYTES = 4 << 20  # of one file: what is larger is read a second time when it is decoded

T = TypeVar("T")


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

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape (H, W, 3) in which the image enters the network."""
        return self.prepared.pixels.shape if self.prepared is not None else ()


@dataclass(frozen=True)
class _Window:
    """Steps in order, and what becomes of those of them that go through the network.

    `pooled` are parts of their places, with the steps that come out. Where the network takes
    batches it is empty, and they come out of `batched`, in order.
    """

    steps: list[_Step]
    pooled: list[tuple[Sequence[int], Future[list[_Step]]]]
    batched: Future[list[Future[_Step]]] | None = None


class Pipeline:
    """Describes files; only a few windows of them are in memory at a time.

    While the images of one window go through the network, the next one is decoded. On a CPU, where
    the network takes images one by one, workers do both, and images of like shape follow on each
    other: a network that has to change its shape loses time. Where the network takes batches, as
    on a GPU, workers decode and pool, and batches run between the two.

    `is_known` says whether a file with these bytes (their SHA-256) needs no description;
    `load_extractor` is called only where there is an image to describe. `window` is how many files
    are worked on together.
    """

    def __init__(
        self,
        load_extractor: Callable[[], FeatureExtractor],
        is_known: Callable[[Task, bytes], bool],
        *,
        workers: int | None = None,
        window: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.workers = workers or (os.cpu_count() or 2) + SPARE_WORKERS
        self.window = window or WINDOW
        self._part = max(1, min(PART, self.window // self.workers))
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
                for window in self._work_ahead(tasks, workers, network):
                    waiting.append(window)
                    if len(waiting) > (BATCHES_AHEAD if window.batched else WINDOWS_AHEAD):
                        yield self._finish(waiting.popleft())
                while waiting:
                    yield self._finish(waiting.popleft())
        finally:
            network.shutdown(wait=True, cancel_futures=True)
            workers.shutdown(wait=True, cancel_futures=True)

    def describe(self, item: Item) -> Item:
        """Return an item with its features, or why it has none, its bytes known or not."""
        [described] = self._finish(_Window(self._pool([self._look_into(item)]), []))
        return described

    @property
    def extractor(self) -> FeatureExtractor:
        """The extractor, loaded on first use."""
        with self._loading:
            if self._extractor is None:
                self._extractor = self._load_extractor()
            return self._extractor

    def _work_ahead(
        self, tasks: Sequence[Task], workers: ThreadPoolExecutor, network: ThreadPoolExecutor
    ) -> Iterator[_Window]:
        """Decode the files of one window after the other and send them through the network."""
        windows = _parts(tasks, self.window)
        decoding = [workers.submit(job) for job in self._decoding(next(windows, ()))]
        while decoding:
            steps = [step for future in decoding for step in future.result()]
            jobs = self._decoding(next(windows, ()))
            places = [i for i, step in enumerate(steps) if step.prepared is not None]
            if places and self.extractor.inference.batched:
                batched = network.submit(self._run_batch, steps, workers)
                decoding = [workers.submit(job) for job in jobs]
                yield _Window(steps, [], batched)
                continue
            places.sort(key=lambda i: steps[i].shape)
            pooled, decoding = [], []
            # By turns, so that reading from a slow disk does not keep the network waiting.
            for part, job in zip_longest(_parts(places, self._part), jobs):
                if part is not None:
                    ready = [steps[i] for i in part]
                    pooled.append((part, workers.submit(self._pool, ready)))
                if job is not None:
                    decoding.append(workers.submit(job))
            yield _Window(steps, pooled)

    def _decoding(self, tasks: Sequence[Task]) -> list[Callable[[], list[_Step]]]:
        return [partial(self._decode_all, part) for part in _parts(tasks, self._part)]

    def _decode_all(self, tasks: Sequence[Task]) -> list[_Step]:
        """Read and decode files: first the one, then the other, so that each finds its code."""
        return [
            self._look_into(item, data) if is_new else _Step(item)
            for item, data, is_new in [self._read(task) for task in tasks]
        ]

    def _read(self, task: Task) -> tuple[Item, bytes | None, bool]:
        """Return a file's item, its bytes, and whether they are to be described."""
        try:
            data, content_hash = _read(task.path)
        except ImageError as error:
            return Item(task, task.file, reason=error.reason), None, False
        item = Item(task, replace(task.file, content_hash=content_hash))
        return item, data, not self._is_known(task, content_hash)

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

    def _pool(self, steps: Sequence[_Step]) -> list[_Step]:
        """Forward and pool images one by one."""
        ready = [step.prepared for step in steps if step.prepared is not None]
        pooled = iter(self.extractor.pool(ready, in_turn=True))
        return [
            step if step.prepared is None else _Step(step.item, pooled=next(pooled))
            for step in steps
        ]

    def _pool_maps(self, item: Item, prepared: Prepared, maps: Activations) -> _Step:
        return _Step(item, pooled=self.extractor.pool_activations(prepared, maps))

    def _run_batch(self, steps: list[_Step], workers: ThreadPoolExecutor) -> list[Future[_Step]]:
        inputs = [(step, step.prepared) for step in steps if step.prepared is not None]
        maps = self.extractor.forward([prepared for _, prepared in inputs])
        return [
            workers.submit(self._pool_maps, step.item, prepared, a)
            for (step, prepared), a in zip(inputs, maps, strict=True)
        ]

    def _finish(self, window: _Window) -> list[Item]:
        """Whiten what is pooled."""
        steps = list(window.steps)
        for places, future in window.pooled:
            for place, step in zip(places, future.result(), strict=True):
                steps[place] = step
        if window.batched is not None:
            batched = iter(window.batched.result())
            steps = [step if step.prepared is None else next(batched).result() for step in steps]
        pooled = [step.pooled for step in steps if step.pooled is not None]
        whitened = chain.from_iterable(
            self.extractor.whiten(part) for part in _parts(pooled, WHITENED)
        )
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


def _parts(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


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
