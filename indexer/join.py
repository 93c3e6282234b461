"""Joining: stores that workers made apart, each of its shard, become one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

from indexer.join_plan import (
    JOINING,
    WHOLE,
    FileToJoin,
    ImageToJoin,
    JoinRules,
    find_gaps,
    joined_ids,
    plan_join,
)
from indexer.keypoints import update_keypoints
from indexer.optimize import update_indexes
from indexer.parts import require_same_concepts, require_same_dimensions
from indexer.progress import Progress, no_progress
from indexer.run import BLANK, IndexingStopped, IndexReport
from indexer.store.annotations import annotate, read_annotations
from indexer.store.catalog.decision_rows import set_decisions
from indexer.store.contents import StoreContents
from indexer.store.decisions import read_decisions, renumber
from indexer.store.layout import KEYPOINTS
from indexer.store.reader import StoreReader
from indexer.store.records import Entry
from indexer.store.store import Store
from indexer.store.tags import read_concepts, read_tags, replace_tags, save_concept

STEP_IMAGES = 4096  # committed together at most
HALF_BYTES = 2
STEP_BYTES = 64 << 20  # of their vectors, about, which are in memory until then


def join_stores(
    whole: Store,
    parts: Sequence[StoreReader],
    progress: Progress = no_progress,
    stop: Callable[[], bool] = lambda: False,
    rules: JoinRules = JOINING,
) -> IndexReport:
    """Commit the images of the parts into `whole`, with all that is known of them, bit for bit.

    Images that it has at their paths with the same bytes stay. `stop` is asked after each step.
    Only where the `rules` need photos are keypoints found that no part keeps.
    Where it says so, and on Ctrl-C, `IndexingStopped` is raised; what is committed stays, and the
    next run continues. Raises `NoImagesError` where a folder of photos is not there, `ConceptError`
    where two stores have other concepts of one name, and `StoreChangedError`.
    """
    started = time.monotonic()
    joiner = _Joiner(whole, [StoreContents(part) for part in parts], rules, progress, stop)
    try:
        with whole.writing():
            joiner.join_images()
            joiner.join_tags()
            joiner.join_annotations()
            joiner.join_decisions()
        update_indexes(whole, progress)
        if whole.keeps_keypoints:
            joiner.copy_keypoints()
            if rules.needs_photos:
                update_keypoints(whole, progress, stop)
    except KeyboardInterrupt as interruption:
        raise IndexingStopped(joiner.report) from interruption
    finally:
        joiner.report.elapsed_s = time.monotonic() - started
    return joiner.report


class _Joiner:
    """A join in progress."""

    def __init__(
        self,
        whole: Store,
        parts: Sequence[StoreContents],
        rules: JoinRules,
        progress: Progress,
        stop: Callable[[], bool],
    ) -> None:
        self.whole = whole
        self.parts = parts
        self._rules = rules
        self.report = IndexReport(warnings=find_gaps(parts))
        self._progress = progress
        self._stop = stop
        stores = [whole, *(part.store for part in parts)]
        require_same_dimensions(stores)
        self._concepts = require_same_concepts(stores)

    def join_images(self) -> None:
        """Commit the images that the whole does not have yet, some at a time."""
        files = plan_join(self.whole, self.parts, self._rules)
        total = sum(len(file.images) for file in files)
        done = 0
        self._roots = self.whole.roots()
        self.report.warnings += [self._differing(file) for file in files if file.others]
        self._progress("Joining", done, total)
        for step in _steps(files, self._step_images()):
            self._join(step)
            done += sum(len(file.images) for file in step)
            self._progress("Joining", done, total, failed=len(self.report.failed))
            if self._stop():
                raise KeyboardInterrupt

    def _step_images(self) -> int:
        """Return how many images have about `STEP_BYTES` of vectors, within `STEP_IMAGES`."""
        held = sum(
            entry.rows * entry.dimension * HALF_BYTES
            for part in self.parts
            for entry in part.store.reader.state().segments
        )
        images = sum(len(part.files) for part in self.parts)
        return max(1, min(STEP_IMAGES, STEP_BYTES * images // max(1, held)))

    def _join(self, files: Sequence[FileToJoin]) -> None:
        """Commit some files."""
        entries = []
        for part, file, image in ((f.part, f, i) for f in files for i in f.images):
            if image.is_kept:
                self._note_kept(image)
            else:
                entries.append((part, file, image))
        read = self._read([(part, image) for part, _, image in entries])
        outdated = [row_id for file in files for row_id in file.outdated]
        if outdated:
            self.whole.remove(outdated)
        self.whole.commit(read)
        for (_, file, image), entry in zip(entries, read, strict=True):
            self._note(file, image, entry)
        for contents in self.parts:
            contents.let_go()

    def _read(self, images: Sequence[tuple[int, ImageToJoin]]) -> list[Entry]:
        """Return images of the parts as entries of the whole, in order."""
        found: dict[tuple[int, int], Entry] = {}
        for number, part in enumerate(self.parts):
            ids = [image.image.id for own, image in images if own == number]
            found |= {(number, i): e for i, e in zip(ids, part.entries(ids), strict=True)}
        return [
            replace(
                found[number, image.image.id],
                file=image.file,
                replaces=image.known.id if image.known else None,
            )
            for number, image in images
        ]

    def _path(self, image: ImageToJoin) -> str:
        return str(self._roots[image.file.root_id] / image.file.path)

    def _differing(self, file: FileToJoin) -> tuple[str, str]:
        """Return which versions of a file there are, and which one counts."""
        path = str(self._roots[file.root_id] / file.path)
        others = " and ".join(self._name(number) for number in dict.fromkeys(file.others))
        return path, f"differs; the newer one, of {self._name(file.part)}, counts, not {others}"

    def _name(self, part: int) -> str:
        """Return what a part, or the whole, is called."""
        return str(self.whole.path if part == WHOLE else self.parts[part].store.origin)

    def _note_kept(self, image: ImageToJoin) -> None:
        reason = image.known.reason if image.known else None
        if reason is None:
            self.report.unchanged += 1
        else:
            self.report.failed.append((self._path(image), reason))

    def _note(self, file: FileToJoin, image: ImageToJoin, entry: Entry) -> None:
        """Count an image as an index run does."""
        if entry.reason is not None:
            self.report.failed.append((self._path(image), entry.reason))
            return
        if image.known is None or image.known.reason:
            self.report.added += 1
        else:
            self.report.updated += 1
        if image is file.images[0]:
            self.report.pages_passed_over += max(0, (entry.pages or 1) - len(file.images))
        if entry.is_blank:
            self.report.warnings.append((self._path(image), BLANK))
        elif entry.features is not None:
            self.report.regions += len(entry.features.boxes)

    # --- what images have besides -----------------------------------------------------------------

    def join_tags(self) -> None:
        """Bring over concepts and tags; of an image's tags, the last part that has it decides."""
        if not any(read_concepts(part.store) for part in self.parts):
            return
        known = read_concepts(self.whole)
        for name, json in self._concepts.items():
            if name not in known:
                save_concept(self.whole, name, json)
        tags = read_tags(self.whole)
        for part, ids in zip(self.parts, self._ids, strict=True):
            own = set(ids.values())
            for name, probabilities in read_tags(part.store).items():
                others = {i: p for i, p in tags[name].items() if i not in own}
                tags[name] = others | {ids[i]: p for i, p in probabilities.items() if i in ids}
        replace_tags(self.whole, tags)

    def join_annotations(self) -> None:
        """Bring over what fields of the user's own say; of an image, the last part decides."""
        for number, part in enumerate(self.parts):
            found = read_annotations(part.store)
            if found:
                ids = self._ids[number]
                table = {
                    name: {ids[i]: text for i, text in values.items() if i in ids}
                    for name, values in found.items()
                }
                annotate(self.whole, table)

    def join_decisions(self) -> None:
        """Bring over decisions about duplicates; about a pair, the last part decides."""
        for part, ids in zip(self.parts, self._ids, strict=True):
            found = renumber(read_decisions(part.store).verdicts, ids)
            with self.whole.catalog.transaction() as change:
                set_decisions(change.connection, found)

    def copy_keypoints(self) -> None:
        """Copy the keypoints that the parts keep."""
        for number, part in enumerate(self.parts):
            self._progress("Copying keypoints", number, len(self.parts))
            for own, image_id in self._ids[number].items():
                if not self.whole.derived.exists(KEYPOINTS, image_id):
                    data = part.store.derived.read(KEYPOINTS, own)
                    if data is not None:
                        self.whole.derived.write(KEYPOINTS, data, image_id)
                if self._stop():
                    raise KeyboardInterrupt
        self._progress("Copying keypoints", len(self.parts), len(self.parts))

    @cached_property
    def _ids(self) -> list[dict[int, int]]:
        """The ids in the whole of the images of each part, by those in the part."""
        return joined_ids(self.whole, self.parts)


def _steps(files: Sequence[FileToJoin], most: int) -> Iterator[list[FileToJoin]]:
    """Yield files in order, as many at a time as have about `most` images."""
    step: list[FileToJoin] = []
    images = 0
    for file in files:
        step.append(file)
        images += len(file.images)
        if images >= most:
            yield step
            step, images = [], 0
    if step:
        yield step
