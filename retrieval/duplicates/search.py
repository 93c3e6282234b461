"""Searching a store for duplicates, and what was decided about them."""

from __future__ import annotations

import datetime as dt
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from indexer.errors import InvalidQueryError
from indexer.images.page_paths import find_page, page_of
from indexer.progress import Progress, no_progress
from indexer.sources.access import may_exist
from indexer.store.decisions import Decisions, read_decisions
from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo, KnownFile
from retrieval.collection import Collection as StoreCollection
from retrieval.duplicates.find import Findings, find_relations
from retrieval.duplicates.groups import Group, make_groups
from retrieval.duplicates.kept_findings import keep_findings, read_findings

KEPT_EVERY_S = 30.0


@dataclass(frozen=True)
class Duplicates:
    """The duplicates of a store.

    `groups` are those to decide about, `decided` those about which it is decided which image is the
    original, and `kept` those of which all images stay. `unread` are images whose files are missing
    or damaged, so that they were compared by their bytes alone; `compared` is how many images there
    are.
    """

    groups: list[Group]
    decided: list[Group] = field(default_factory=list)
    unread: frozenset[int] = frozenset()
    compared: int = 0
    kept: list[Group] = field(default_factory=list)

    @property
    def of_copies(self) -> list[Group]:
        """The groups of whole pictures in which all but the first image are copies of it.

        These are groups to decide about, and those about which it is decided.
        """
        return [group for group in (*self.groups, *self.decided) if group.kind != "part"]


def find_duplicates(
    collection: StoreCollection,
    allowed: Collection[int] | None = None,
    *,
    progress: Progress = no_progress,
    stop: Callable[[], bool] = lambda: False,
) -> Duplicates:
    """Search the images of a store, or those that are `allowed`, for duplicates.

    What was compared is kept with the store: an interruption loses little, and the next search
    compares what is new. Raises `KeyboardInterrupt` once `stop` says so.
    """
    files = _files(collection.store, allowed)
    derived = collection.store.derived
    findings = read_findings(derived)
    last = time.monotonic()

    def keep_at_times(step: str, done: int, total: int, *, failed: int = 0) -> None:
        nonlocal last
        progress(step, done, total, failed=failed)
        if time.monotonic() - last > KEPT_EVERY_S:
            keep_findings(derived, findings)
            last = time.monotonic()

    contents = _by_content(files)
    try:
        images = [_readable(collection.store, ids) for ids in contents]
        find_relations(collection, images, findings, progress=keep_at_times, stop=stop)
    finally:
        keep_findings(derived, findings)
    return _to_duplicates(collection.store, files, contents, findings)


def read_duplicates(store: StoreReader, allowed: Collection[int] | None = None) -> Duplicates:
    """Return the duplicates that earlier searches found among the images there are."""
    files = _files(store, allowed)
    return _to_duplicates(store, files, _by_content(files), read_findings(store.derived))


def groups_of(found: Duplicates, image_id: int) -> list[Group]:
    """Return the groups that an image is in; raises `InvalidQueryError` where it is in none."""
    groups = [g for g in (*found.groups, *found.decided) if image_id in g.image_ids]
    if not groups:
        raise InvalidQueryError(
            f"Image {image_id} is in no group of duplicates. Search first: cbir duplicates"
        )
    return groups


def _files(store: StoreReader, allowed: Collection[int] | None) -> list[KnownFile]:
    known = (row for row in store.catalog.known_files().values() if row.reason is None)
    return sorted(
        (row for row in known if allowed is None or row.id in allowed), key=lambda row: row.id
    )


def _by_content(files: Collection[KnownFile]) -> list[list[int]]:
    """Return the images that have the same bytes and are the same page of them, ascending."""
    found: dict[tuple[bytes, int | None], list[int]] = defaultdict(list)
    for row in files:
        found[row.file.content_hash, page_of(row.file.path)[1]].append(row.id)
    return list(found.values())


def _readable(store: StoreReader, ids: Sequence[int]) -> int:
    """Return the first of some images with the same bytes whose file is there, else the first."""
    if len(ids) == 1:
        return ids[0]
    infos = store.image_infos(ids)
    return next((i for i in ids if i in infos and may_exist(find_page(infos[i].path)[0])), ids[0])


def _to_duplicates(
    store: StoreReader,
    files: Collection[KnownFile],
    contents: Collection[list[int]],
    findings: Findings,
) -> Duplicates:
    sizes = {row.id: row.file.size_bytes for row in files}
    relations = [r for r in findings.relations.values() if r.first in sizes and r.second in sizes]
    same_bytes = [ids for ids in contents if len(ids) > 1]
    involved = {i for ids in same_bytes for i in ids} | {i for r in relations for i in r.pair}
    decisions = read_decisions(store)
    infos = store.image_infos(involved)
    order = _order(infos, sizes, decisions)
    there = [[i for i in ids if i in infos] for ids in same_bytes]
    relations = [r for r in relations if r.first in infos and r.second in infos]
    made = make_groups(there, relations, order, decisions.kept)
    is_settled = {group: decisions.settle(group.image_ids) for group in made}
    decided = [group for group in made if is_settled[group]]
    related = make_groups(there, relations, order) if decisions.kept else []
    return Duplicates(
        [group for group in made if not is_settled[group]],
        decided,
        frozenset(findings.unread),
        len(files),
        _kept(related, decided, decisions),
    )


def _kept(related: Sequence[Group], decided: Sequence[Group], decisions: Decisions) -> list[Group]:
    """Return the groups of which all images stay.

    They are those of the `related` ones, made whatever was decided, that are settled and have no
    image in one of the `decided` ones.
    """
    others = {(group.kind == "part", i) for group in decided for i in group.image_ids}
    return [
        group
        for group in related
        if others.isdisjoint((group.kind == "part", i) for i in group.image_ids)
        and decisions.settle(group.image_ids)
    ]


def _order(
    infos: dict[int, ImageInfo], sizes: dict[int, int], decisions: Decisions
) -> dict[int, int]:
    """Return the place of each image: which one of a group to keep.

    That is the one that was chosen; else the one with the most pixels, the largest file, the
    earliest date, the shortest path.
    """

    def preference(image_id: int) -> tuple[bool, int, int, dt.datetime, int, int]:
        info = infos[image_id]
        taken = info.taken_at or dt.datetime.max
        pixels = info.width * info.height
        chosen = image_id in decisions.originals
        path = str(info.path)
        return not chosen, -pixels, -sizes[image_id], taken, len(path), image_id

    return {image_id: n for n, image_id in enumerate(sorted(infos, key=preference))}
