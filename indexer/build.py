"""Building: scan, describe, commit, with progress and a report."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from itertools import groupby
from typing import Any

from indexer.errors import NoImagesError, StoreLockedError, UnreadableImageError
from indexer.features.extractor import FeatureExtractor
from indexer.images.budget import DECODING, Budget
from indexer.images.find import REMEDY
from indexer.images.page_paths import name_page, page_of
from indexer.keypoints import update_keypoints
from indexer.optimize import update_indexes
from indexer.pipeline import PART, SLIDING_PART, Describing, Item, Pipeline, is_same
from indexer.progress import Progress, no_progress
from indexer.run import BLANK, BuildOptions, IndexingStopped, IndexReport
from indexer.scan import scan_places
from indexer.sources.place import Place
from indexer.store.places import folders_of
from indexer.store.records import Entry, FileState, KnownFile
from indexer.store.store import Store
from indexer.tasks import Scan, Task

COMMIT_IMAGES = 512  # their region vectors wait in memory until then
COMMIT_S = 30.0


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
        self._missing: dict[bytes, list[list[KnownFile]]] = {}
        self._pending: list[Entry] = []
        self._moves: list[tuple[int, FileState]] = []
        self._outdated: list[int] = []
        self._committed_at = time.monotonic()

    def run(self, places: Sequence[Place] = ()) -> IndexReport:
        """Index the images at `places` and remove those whose files are missing.

        Without places, all folders that the store knows are brought up to date.

        Raises `NoImagesError`, `StoreLockedError`, and with `strict` the first `ImageError`, or
        `NoImagesError` for a folder that cannot be read.
        """
        started = time.monotonic()
        with self.store.writing(folders_of(places) or None):
            scan = scan_places(self.store, places, self.options.scan_options())
            self._note_problems(scan)
            self._note_known(scan.unchanged)
            gone = [row.id for row in scan.missing if row.reason]
            guarded = [row for _, row in scan.guarded]
            self._missing = _group_by_content([*scan.missing, *scan.lost, *guarded])
            try:
                self._work(scan.tasks)
            finally:
                # Also on Ctrl-C: what is described already is kept.
                self._commit()
            # What is left of lost roots stays: a drive may only be unplugged.
            unmoved = {row.id for files in self._missing.values() for rows in files for row in rows}
            kept = {row.id for row in (*scan.lost, *guarded)}
            vanished = sorted(unmoved - kept)
            self.store.remove(gone + vanished)
            self._remember(scan)
        self._note_guarded(Counter(folder for folder, row in scan.guarded if row.id in unmoved))
        self.report.removed = len(vanished)
        self.report.elapsed_s = time.monotonic() - started
        return self.report

    def _note_problems(self, scan: Scan) -> None:
        if self.options.strict and scan.problems:
            raise NoImagesError("{}: {}".format(*scan.problems[0]))
        self.report.warnings += scan.problems
        self.report.skipped = dict(sorted(scan.skipped.items()))

    def _note_guarded(self, known_below: Mapping[str, int]) -> None:
        """Tell of folders that are suddenly empty, but for what was found at other places."""
        problems = [
            (folder, f"is empty now, but the store knows {count} images below it; {REMEDY}")
            for folder, count in known_below.items()
        ]
        if problems and self.options.strict:
            raise NoImagesError("{} {}".format(*problems[0]))
        self.report.warnings += problems

    def _remember(self, scan: Scan) -> None:
        """Keep what a run to its end has found out about the files and folders."""
        if scan.stamped:
            self.store.move(scan.stamped)
        for root_id, options in scan.options.items():
            self.store.remember_root(root_id, options=options, skipped=scan.other_files[root_id])

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
        pipeline = self._pipeline()  # it ends with the run, which frees the network's memory
        with closing(pipeline.run(tasks)) as parts:
            for items in parts:
                self._take_all(items, pipeline)
                late = time.monotonic() - self._committed_at > COMMIT_S
                waiting = len(self._pending) + len(self._moves)
                if waiting >= COMMIT_IMAGES or (late and waiting):
                    self._commit()
                done += len({item.task.path for item in items})
                self._report_progress(done, len(tasks))
                if self._stop():
                    raise KeyboardInterrupt

    def _pipeline(self) -> Describing:
        memory, ray = self.options.memory, self.options.ray
        shared: dict[str, Any] = {
            "workers": self.options.workers,
            "part": SLIDING_PART if self.store.spec.regions == "sliding" else PART,
            "time_limit_s": self.options.time_limit_s,
        }
        if ray is not None:
            from indexer.ray_pipeline import RayPipeline  # most runs need no Ray

            shared |= {"memory": memory, "on_gpus": self.options.on_gpus}
            return RayPipeline(ray, self._load_extractor, self._missing, **shared)
        budget = DECODING if memory is None else Budget(memory)
        return Pipeline(self._load_extractor, self._is_known, budget=budget, **shared)

    def _report_progress(self, done: int, total: int) -> None:
        self._progress("Indexing", done, total, failed=len(self.report.failed))

    def _is_known(self, task: Task, content_hash: bytes) -> bool:
        """Whether a file was only touched, or is perhaps one that is missing, under a new name."""
        return is_same(task, content_hash) or content_hash in self._missing

    def _take_all(self, items: Sequence[Item], pipeline: Describing) -> None:
        """Queue what was described for the next commit, file by file."""
        for _, group in groupby(items, key=lambda item: item.task.path):
            of_file = list(group)
            first = of_file[0]
            if _has_known_bytes(first):
                if self._keep_vectors(first):
                    continue
                # Two new files with the bytes of one missing file: only one of them was moved.
                of_file = pipeline.describe(first)
            for item in of_file:
                self._take(item)
            if all(item.is_lasting for item in of_file):
                paths = {item.file.path for item in of_file}
                known = [row for row in first.task.known if row.file.path not in paths]
                self._outdated += [row.id for row in known]

    def _take(self, item: Item) -> None:
        known = next((k for k in item.task.known if k.file.path == item.file.path), None)
        if item.reason is not None:
            self._fail(item, known)
            return
        if known is None or known.reason:
            self.report.added += 1
        else:
            self.report.updated += 1
        if item.features is not None:
            self.report.regions += len(item.features.boxes)
        else:
            self.report.warnings.append((item.path, BLANK))
        if item.page is None or item.taken == 1:
            self.report.pages_passed_over += item.pages - item.taken
        self.report.warnings += [(item.path, warning) for warning in item.warnings]
        self._pending.append(_entry_of(item, known))

    def _keep_vectors(self, item: Item) -> bool:
        """Handle a file whose bytes are known: touched only, or moved. False if it is neither."""
        known = item.task.known
        if is_same(item.task, item.file.content_hash):
            self._move(known, item.file)
            self.report.unchanged += len(known)
            return True
        files = self._missing.get(item.file.content_hash)
        if not files:
            return False
        self._outdated += [row.id for row in known]
        rows = files.pop()
        self._move(rows, item.file)
        self.report.moved += len(rows)
        return True

    def _move(self, rows: Sequence[KnownFile], file: FileState) -> None:
        """Note that the pictures of a file are found at another place, or have another date."""
        for row in rows:
            path = name_page(file.path, page_of(row.file.path)[1])
            self._moves.append((row.id, replace(file, path=path)))

    def _fail(self, item: Item, known: KnownFile | None) -> None:
        reason = item.reason or ""
        if self.options.strict:
            raise UnreadableImageError(item.path, reason)
        self.report.failed.append((item.path, reason))
        if item.is_lasting:  # else what the store knows stays, and the next run tries again
            self._pending.append(_entry_of(item, known))

    def _commit(self) -> None:
        if self._outdated:
            self.store.remove(self._outdated)
        if self._moves:
            self.store.move(self._moves)
        self.store.commit(self._pending)
        self._moves, self._pending, self._outdated = [], [], []
        self._committed_at = time.monotonic()


def index_photos(
    store: Store,
    places: Sequence[Place],
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
        with suppress(StoreLockedError):  # who still writes does it at its end
            update_indexes(store, progress)
        if store.keeps_keypoints:
            update_keypoints(store, progress, stop)
    except KeyboardInterrupt as interruption:
        raise IndexingStopped(builder.report) from interruption
    finally:
        builder.report.elapsed_s = time.monotonic() - started
    return report


def _entry_of(item: Item, known: KnownFile | None) -> Entry:
    """Return what is committed of an item; it takes the place of what is known of its image."""
    return Entry(
        file=item.file,
        facts=item.facts,
        features=item.features,
        reason=item.reason,
        replaces=known.id if known else None,
        pages=item.pages,
        is_blank=item.is_blank,
        warnings=item.warnings,
    )


def _has_known_bytes(item: Item) -> bool:
    return item.features is None and item.reason is None and not item.is_blank


def _group_by_content(rows: Iterable[KnownFile]) -> dict[bytes, list[list[KnownFile]]]:
    """Return the readable images by the bytes of their files, the pages of a file together."""
    files: dict[tuple[int, str], list[KnownFile]] = {}
    for row in rows:
        if row.reason is None:
            files.setdefault((row.file.root_id, page_of(row.file.path)[0]), []).append(row)
    groups: dict[bytes, list[list[KnownFile]]] = {}
    for pages in files.values():
        groups.setdefault(pages[0].file.content_hash, []).append(pages)
    return groups
