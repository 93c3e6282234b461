"""Building: scan, describe, commit, with progress and a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from indexer.choices import MAX_PIXELS, Damaged
from indexer.errors import NoImagesError, UnreadableImageError
from indexer.features.extractor import FeatureExtractor, ImageFeatures
from indexer.keypoints import update_keypoints
from indexer.optimize import update_indexes
from indexer.pipeline import PART, SLIDING_PART, Item, Pipeline
from indexer.progress import Progress, no_progress
from indexer.scan import Scan, ScanOptions, Task, scan_places
from indexer.store.records import Entry, FileState, KnownFile
from indexer.store.store import Store

COMMIT_IMAGES = 512  # their region vectors wait in memory until then
COMMIT_S = 30.0


@dataclass(frozen=True)
class BuildOptions:
    """Choices of an index run.

    `max_pixels` is the limit of one image; `sniff` finds images without a known suffix, and
    `damaged` says what becomes of images whose files call their pixels damaged. `workers` are
    threads, as many as the processor can use unless given.
    """

    max_pixels: int = MAX_PIXELS
    exclude: tuple[str, ...] = ()
    sniff: bool = False
    damaged: Damaged = "skip"
    strict: bool = False
    retry_failed: bool = False
    workers: int | None = None


@dataclass
class IndexReport:
    """What an index run did, as counts of images.

    `failed` holds (path, reason) of images without vectors, `warnings` of what else was wrong:
    folders that cannot be read, damage beside the pixels. `skipped` counts files that are no images
    by suffix, and `pages_passed_over` the further pages of files with several.
    """

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    moved: int = 0
    removed: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    pages_passed_over: int = 0
    regions: int = 0
    elapsed_s: float = 0.0

    @property
    def images_per_s(self) -> float:
        """Images that were decoded and described, per second of the whole run."""
        return (self.added + self.updated) / self.elapsed_s if self.elapsed_s else 0.0


class IndexingStopped(KeyboardInterrupt):
    """An index run was stopped; `report` says what it did until then, all of which is committed."""

    def __init__(self, report: IndexReport) -> None:
        super().__init__()
        self.report = report


class Builder:
    """Brings a store up to date with places full of photos.

    `load_extractor` is called only where there is an image to describe. `stop` is asked after each
    part of the work, see `index_photos`. After an interruption, everything committed stays and the
    next run continues from there.
    """

    def __init__(
        self,
        store: Store,
        load_extractor: Callable[[], FeatureExtractor],
        options: BuildOptions | None = None,
        progress: Progress = no_progress,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.store = store
        self.options = options or BuildOptions()
        self.report = IndexReport()
        self._load_extractor = load_extractor
        self._progress = progress
        self._stop = stop
        self._missing: dict[bytes, list[KnownFile]] = {}
        self._pending: list[Entry] = []
        self._moves: list[tuple[int, FileState]] = []
        self._committed_at = time.monotonic()

    def run(self, places: Sequence[Path]) -> IndexReport:
        """Index the images at `places` and remove those whose files are missing.

        Raises `NoImagesError`, `StoreLockedError`, and with `strict` the first `ImageError`, or
        `NoImagesError` for a folder that cannot be read.
        """
        started = time.monotonic()
        with self.store.writing():
            options = self.options
            scan = scan_places(
                self.store,
                places,
                ScanOptions(
                    exclude=options.exclude,
                    sniff=options.sniff,
                    retry_failed=options.retry_failed or options.damaged == "take",
                ),
            )
            self._note_problems(scan)
            self._note_known(scan.unchanged)
            gone = [row.id for row in scan.missing if row.reason]
            for row in (*scan.missing, *scan.lost):
                if row.reason is None:
                    self._missing.setdefault(row.file.content_hash, []).append(row)
            try:
                self._work(scan.tasks)
            finally:
                # Also on Ctrl-C: what is described already is kept.
                self._commit()
            # What is left of lost roots stays: a drive may only be unplugged.
            lost = {row.id for row in scan.lost}
            unmoved = {row.id for rows in self._missing.values() for row in rows}
            vanished = sorted(unmoved - lost)
            self.store.remove(gone + vanished)
        self.report.removed = len(vanished)
        self.report.elapsed_s = time.monotonic() - started
        return self.report

    def _note_problems(self, scan: Scan) -> None:
        if self.options.strict and scan.problems:
            raise NoImagesError("{}: {}".format(*scan.problems[0]))
        self.report.warnings += scan.problems
        self.report.skipped = dict(sorted(scan.skipped.items()))

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
        self._report_progress(0, len(tasks))
        # It ends with the run, which frees the network's memory before an index is trained.
        pipeline = Pipeline(
            self._load_extractor,
            self._is_known,
            workers=self.options.workers,
            part=SLIDING_PART if self.store.spec.regions == "sliding" else PART,
            max_pixels=self.options.max_pixels,
            damaged=self.options.damaged,
        )
        with closing(pipeline.run(tasks)) as parts:
            for items in parts:
                for item in items:
                    self._take(item, pipeline)
                late = time.monotonic() - self._committed_at > COMMIT_S
                waiting = len(self._pending) + len(self._moves)
                if waiting >= COMMIT_IMAGES or (late and waiting):
                    self._commit()
                done += len(items)
                self._report_progress(done, len(tasks))
                if self._stop():
                    raise KeyboardInterrupt

    def _report_progress(self, done: int, total: int) -> None:
        self._progress("Indexing", done, total, failed=len(self.report.failed))

    def _is_known(self, task: Task, content_hash: bytes) -> bool:
        """Whether a file was only touched, or is perhaps one that is missing, under a new name."""
        return _is_same(task, content_hash) or content_hash in self._missing

    def _take(self, item: Item, pipeline: Pipeline) -> None:
        """Queue what was described for the next commit."""
        if item.features is None and item.reason is None:
            if self._keep_vectors(item):
                return
            # Two new files with the bytes of one missing file: only one of them was moved.
            item = pipeline.describe(item)
        if item.features is not None:
            self._add(item, item.features)
        else:
            self._fail(item, item.reason or "")

    def _add(self, item: Item, features: ImageFeatures) -> None:
        known = item.task.known
        if known is None or known.reason:
            self.report.added += 1
        else:
            self.report.updated += 1
        self.report.regions += len(features.boxes)
        self.report.pages_passed_over += item.pages - 1
        self.report.warnings += [(str(item.task.path), warning) for warning in item.warnings]
        replaces = known.id if known else None
        self._pending.append(Entry(item.file, item.facts, features, replaces=replaces))

    def _keep_vectors(self, item: Item) -> bool:
        """Handle a file whose bytes are known: touched only, or moved. False if it is neither."""
        known = item.task.known
        if known is not None and _is_same(item.task, item.file.content_hash):
            self._moves.append((known.id, item.file))
            self.report.unchanged += 1
            return True
        rows = self._missing.get(item.file.content_hash)
        if not rows:
            return False
        if known is not None:
            self.store.remove([known.id])
        self._moves.append((rows.pop().id, item.file))
        self.report.moved += 1
        return True

    def _fail(self, item: Item, reason: str) -> None:
        path = str(item.task.path)
        if self.options.strict:
            raise UnreadableImageError(path, reason)
        self.report.failed.append((path, reason))
        if not item.is_lasting:
            return  # what the store knows stays, and the next run tries again
        known = item.task.known
        replaces = known.id if known else None
        self._pending.append(Entry(item.file, reason=reason, replaces=replaces))

    def _commit(self) -> None:
        if self._moves:
            self.store.move(self._moves)
        self.store.commit(self._pending)
        self._moves, self._pending = [], []
        self._committed_at = time.monotonic()


def index_photos(
    store: Store,
    places: Sequence[Path],
    load_extractor: Callable[[], FeatureExtractor],
    options: BuildOptions | None = None,
    progress: Progress = no_progress,
    stop: Callable[[], bool] = lambda: False,
) -> IndexReport:
    """Bring a store up to date with `places`, and its vector indexes with that.

    `stop` is asked after each part of the work. Where it says so, and on Ctrl-C, `IndexingStopped`
    is raised, and what is committed stays. Raises what `Builder.run` does.
    """
    started = time.monotonic()
    builder = Builder(store, load_extractor, options, progress, stop)
    try:
        report = builder.run(places)
        update_indexes(store, progress)
        if store.keeps_keypoints:
            update_keypoints(store, progress, stop)
    except KeyboardInterrupt as interruption:
        raise IndexingStopped(builder.report) from interruption
    finally:
        builder.report.elapsed_s = time.monotonic() - started
    return report


def _is_same(task: Task, content_hash: bytes) -> bool:
    """Whether a readable image was only touched: another time stamp, the same bytes."""
    known = task.known
    return known is not None and known.reason is None and known.file.content_hash == content_hash
