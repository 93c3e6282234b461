"""Pipeline: reads, decodes and describes many files at the same time."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Protocol

from indexer.arrays import Pixels
from indexer.choices import DECODE_S, PageChoice
from indexer.errors import ImageError
from indexer.features.extractor import FeatureExtractor, ImageFeatures
from indexer.fetching import Answer, fetch, read_ahead
from indexer.images.budget import DECODING, Budget, Lease
from indexer.images.decode import load_image
from indexer.images.facts import ImageFacts
from indexer.images.ground import is_blank
from indexer.images.page_paths import name_page
from indexer.sources.place import Place
from indexer.store.records import FileState
from indexer.tasks import Task

PART = 16  # files that a worker takes at a time: what a GPU needs to be kept busy
SLIDING_PART = 4  # the same where each window of an image enters the network by itself
SPARE_WORKERS = 2  # decode while others wait for the network or the disk
PARTS_AHEAD = 2  # described while one is handed over


@dataclass(frozen=True)
class Item:
    """What became of a file: its `features`, or the `reason` why there are none.

    Neither of them where its bytes are known already, or where it `is_blank`. A reason that does
    not last, such as missing permission, is tried again at the next run. `pages` is how many
    pictures the file holds, `page` the one that this is, where it is not the file's main picture,
    and `taken` how many of them are taken.
    """

    task: Task
    file: FileState
    facts: ImageFacts | None = None
    features: ImageFeatures | None = None
    reason: str | None = None
    is_lasting: bool = True
    is_blank: bool = False
    pages: int = 1
    page: int | None = None
    taken: int = 1
    warnings: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path of the image, which may be a page of the file."""
        return name_page(str(self.task.path), self.page)

    def with_page(self, page: int | None) -> Item:
        """Return the item as that of another page of its file."""
        path = name_page(self.task.file.path, page)
        return replace(self, page=page, file=replace(self.file, path=path))


_Decoded = tuple[Item, Pixels | None]
"""An item, and its pixels where it is to be described."""


class Describing(Protocol):
    """Describes files: `Pipeline` in this process, `RayPipeline` on a cluster."""

    def run(self, tasks: Sequence[Task]) -> Generator[list[Item], None, None]:
        """Yield the items of the tasks in order, a part at a time, until it is closed."""

    def describe(self, item: Item) -> list[Item]:
        """Return the items of a file, described whether its bytes are known or not."""


class Pipeline:
    """Describes files, some in each of several threads; only a few parts are in memory at a time.

    While one worker waits for the network, the others read and decode.

    Pictures wait for room in the `budget` before they are decoded, which may take `time_limit_s`
    each, and leave it when they are described. `is_known` says whether a file with these bytes
    (their SHA-256) needs no description; `load_extractor` is called only where there is an image to
    describe.
    """

    def __init__(
        self,
        load_extractor: Callable[[], FeatureExtractor],
        is_known: Callable[[Task, bytes], bool],
        *,
        workers: int | None = None,
        part: int = PART,
        budget: Budget = DECODING,
        time_limit_s: float = DECODE_S,
    ) -> None:
        self.workers = workers or (os.cpu_count() or 2) + SPARE_WORKERS
        self.part = part
        self._budget = budget
        self._time_limit_s = time_limit_s
        self._is_closing = threading.Event()
        self._load_extractor = load_extractor
        self._is_known = is_known
        self._extractor: FeatureExtractor | None = None
        self._loading = threading.Lock()

    def run(self, tasks: Sequence[Task]) -> Generator[list[Item], None, None]:
        """Yield the items of the tasks in order, a part at a time.

        Close the generator to end early: parts that have not begun are dropped.
        """
        self._is_closing.clear()
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
            self._is_closing.set()
            workers.shutdown(wait=True, cancel_futures=True)

    def describe(self, item: Item) -> list[Item]:
        """Return the items of a file, described whether its bytes are known or not.

        The file is read again.
        """
        return self._describe_all(lambda lease: self._decode(item, item.task.path, lease))

    @property
    def extractor(self) -> FeatureExtractor:
        """The extractor, loaded on first use."""
        with self._loading:
            if self._extractor is None:
                self._extractor = self._load_extractor()
            return self._extractor

    def _describe_files(self, tasks: Sequence[Task]) -> list[Item]:
        def load(lease: Lease) -> Iterator[_Decoded]:
            answers = read_ahead([(task.path, task.file.size_bytes) for task in tasks])
            for task, answer in zip(tasks, answers, strict=True):
                if self._is_closing.is_set():
                    return
                yield from self._load(task, answer, lease)

        return self._describe_all(load)

    def _describe_all(self, load: Callable[[Lease], Iterator[_Decoded]]) -> list[Item]:
        """Describe a few images at a time: a file may hold hundreds of pages.

        Fewer go together where others wait for the memory that their pixels take.
        """
        items: list[Item] = []
        waiting: list[_Decoded] = []

        def describe() -> None:
            items.extend(self._describe(waiting))
            waiting.clear()
            lease.keep(0)

        with self._budget.lease(describe) as lease:
            for decoded in load(lease):
                waiting.append(decoded)
                lease.keep(sum(pixels.nbytes for _, pixels in waiting if pixels is not None))
                del decoded
                if len(waiting) == self.part:
                    describe()
            describe()
        return items

    def _load(self, task: Task, answer: Answer | None, lease: Lease) -> Iterator[_Decoded]:
        """Read and decode a file; there are no pixels where none are needed, or it failed."""
        with ExitStack() as copies:
            try:
                source, content_hash = fetch(task.path, task.file.size_bytes, copies, answer)
            except ImageError as error:
                yield Item(task, task.file, reason=error.reason, is_lasting=error.is_lasting), None
                return
            item = Item(task, replace(task.file, content_hash=content_hash))
            if self._is_known(task, content_hash):
                yield item, None
            else:
                yield from self._decode(item, source, lease)

    def _decode(self, item: Item, source: Place | bytes, lease: Lease) -> Iterator[_Decoded]:
        """Decode the pages of a file, read from its place or a copy, or from its bytes."""
        main, pixels = self._decode_page(item, source, lease)
        wanted = item.task.options.pages
        chosen, main = main.page, main.with_page(None)
        if main.pages == 1 or wanted == "auto":
            yield main, pixels
            return
        if wanted == "all":
            yield replace(main, taken=main.pages), pixels
            del pixels
            for page in range(main.pages):
                if page != chosen:
                    yield self._decode_other(item.with_page(page), source, lease, main.pages)
            return
        other, other_pixels = self._decode_page(item, source, lease, wanted)
        if other.page != chosen:
            main, pixels = other.with_page(other.page), other_pixels
        yield main, pixels

    def _decode_other(
        self, item: Item, source: Place | bytes, lease: Lease, taken: int
    ) -> _Decoded:
        """Decode another page than the main one, of so many that are taken."""
        decoded, pixels = self._decode_page(item, source, lease)
        return replace(decoded.with_page(item.page), taken=taken), pixels

    def _decode_page(
        self, item: Item, source: Place | bytes, lease: Lease, wanted: PageChoice | None = None
    ) -> _Decoded:
        """Decode one picture of a file: its page, or the one that is wanted."""
        options = item.task.options
        try:
            loaded = load_image(
                source,
                at_least=self.extractor.pixels_needed,
                max_pixels=options.max_pixels,
                name=item.path,
                damaged=options.damaged,
                oversize=options.oversize,
                page=item.page if wanted is None else wanted,
                lease=lease,
                time_limit_s=self._time_limit_s,
            )
        except ImageError as error:
            return replace(item, reason=error.reason, is_lasting=error.is_lasting), None
        decoded = replace(
            item,
            facts=loaded.facts,
            pages=loaded.pages,
            page=loaded.page if loaded.pages > 1 else None,
            warnings=loaded.warnings,
        )
        if is_blank(loaded.pixels):
            return replace(decoded, is_blank=True), None
        return decoded, loaded.pixels

    def _describe(self, loaded: Sequence[_Decoded]) -> list[Item]:
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


def is_same(task: Task, content_hash: bytes) -> bool:
    """Whether a readable image was only touched: another time stamp, the same bytes."""
    return (
        bool(task.known)
        and not task.again
        and all(k.reason is None and k.file.content_hash == content_hash for k in task.known)
    )


def _parts(tasks: Sequence[Task], size: int) -> Iterator[Sequence[Task]]:
    for start in range(0, len(tasks), size):
        yield tasks[start : start + size]
