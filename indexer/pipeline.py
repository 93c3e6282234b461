"""Pipeline: reads, decodes and describes many files at the same time."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

from indexer.arrays import Pixels
from indexer.choices import MAX_PIXELS, Damaged
from indexer.errors import ImageError, InaccessibleImageError
from indexer.features.extractor import FeatureExtractor, ImageFeatures
from indexer.images.decode import load_image
from indexer.images.facts import ImageFacts
from indexer.scan import Task
from indexer.store.records import FileState

PART = 16  # files that a worker takes at a time: what a GPU needs to be kept busy
SLIDING_PART = 4  # the same where each window of an image enters the network by itself
SPARE_WORKERS = 2  # decode while others wait for the network or the disk
PARTS_AHEAD = 2  # described while one is handed over
HELD_BYTES = 4 << 20  # of one file; a larger one is read a second time when it is decoded


@dataclass(frozen=True)
class Item:
    """What became of a file: its `features`, or the `reason` why there are none.

    Neither of them where its bytes are known already. A reason that does not last, such as missing
    permission, is tried again at the next run.
    """

    task: Task
    file: FileState
    facts: ImageFacts | None = None
    features: ImageFeatures | None = None
    reason: str | None = None
    is_lasting: bool = True
    pages: int = 1
    warnings: tuple[str, ...] = ()


class Pipeline:
    """Describes files, some in each of several threads; only a few parts are in memory at a time.

    While one worker waits for the network, the others read and decode.

    `is_known` says whether a file with these bytes (their SHA-256) needs no description;
    `load_extractor` is called only where there is an image to describe.
    """

    def __init__(
        self,
        load_extractor: Callable[[], FeatureExtractor],
        is_known: Callable[[Task, bytes], bool],
        *,
        workers: int | None = None,
        part: int = PART,
        max_pixels: int = MAX_PIXELS,
        damaged: Damaged = "skip",
    ) -> None:
        self.workers = workers or (os.cpu_count() or 2) + SPARE_WORKERS
        self.part = part
        self.max_pixels = max_pixels
        self.damaged: Damaged = damaged
        self._load_extractor = load_extractor
        self._is_known = is_known
        self._extractor: FeatureExtractor | None = None
        self._loading = threading.Lock()

    def run(self, tasks: Sequence[Task]) -> Generator[list[Item], None, None]:
        """Yield the items of the tasks in order, a part at a time.

        Close the generator to end early: parts that have not begun are dropped.
        """
        workers = ThreadPoolExecutor(self.workers, "worker")
        waiting: deque[Future[list[Item]]] = deque()
        try:
            for part in _parts(tasks, self.part):
                waiting.append(workers.submit(self._describe_files, part))
                if len(waiting) >= self.workers + PARTS_AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            workers.shutdown(wait=True, cancel_futures=True)

    def describe(self, item: Item) -> Item:
        """Return an item with its features, or why it has none, whether its bytes are known or not.

        The file is read again.
        """
        [described] = self._describe([self._decode(item, None)])
        return described

    @property
    def extractor(self) -> FeatureExtractor:
        """The extractor, loaded on first use."""
        with self._loading:
            if self._extractor is None:
                self._extractor = self._load_extractor()
            return self._extractor

    def _describe_files(self, tasks: Sequence[Task]) -> list[Item]:
        return self._describe([self._load(task) for task in tasks])

    def _load(self, task: Task) -> tuple[Item, Pixels | None]:
        """Read and decode a file; there are no pixels where none are needed, or it failed."""
        try:
            data, content_hash = _read(task.path)
        except ImageError as error:
            return Item(task, task.file, reason=error.reason, is_lasting=error.is_lasting), None
        item = Item(task, replace(task.file, content_hash=content_hash))
        return (item, None) if self._is_known(task, content_hash) else self._decode(item, data)

    def _decode(self, item: Item, data: bytes | None) -> tuple[Item, Pixels | None]:
        """Decode a file, whose bytes are `data` where they were kept."""
        try:
            loaded = load_image(
                item.task.path if data is None else data,
                at_least=self.extractor.pixels_needed,
                max_pixels=self.max_pixels,
                name=str(item.task.path),
                damaged=self.damaged,
            )
        except ImageError as error:
            return replace(item, reason=error.reason, is_lasting=error.is_lasting), None
        decoded = replace(item, facts=loaded.facts, pages=loaded.pages, warnings=loaded.warnings)
        return decoded, loaded.pixels

    def _describe(self, loaded: Sequence[tuple[Item, Pixels | None]]) -> list[Item]:
        """Return the items with the features of their pixels."""
        images = [pixels for _, pixels in loaded if pixels is not None]
        described = iter(self.extractor.extract(images) if images else ())
        items = []
        for item, pixels in loaded:
            if pixels is not None:
                result = next(described)
                if isinstance(result, ImageFeatures):
                    item = replace(item, features=result)
                else:
                    item = replace(item, reason=str(result))
            items.append(item)
        return items


def _parts(tasks: Sequence[Task], size: int) -> Iterator[Sequence[Task]]:
    for start in range(0, len(tasks), size):
        yield tasks[start : start + size]


def _read(path: Path) -> tuple[bytes | None, bytes]:
    """Return the bytes of a file, None where they are too many to be held, and their SHA-256."""
    try:
        with FileIO(path) as file:
            if os.fstat(file.fileno()).st_size > HELD_BYTES:
                return None, hashlib.file_digest(file, "sha256").digest()
            data = file.readall()
    except FileNotFoundError as error:
        raise InaccessibleImageError(str(path), "vanished during the run") from error
    except OSError as error:
        raise InaccessibleImageError(str(path), f"cannot be read ({error.strerror})") from error
    return data, hashlib.sha256(data).digest()
