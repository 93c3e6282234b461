"""What a visitor of the duplicates page goes through: groups, where they are, and decisions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from indexer.image_set import ImageSet
from indexer.store.decisions import (
    Decisions,
    choose_original,
    decisions_about,
    keep_all,
    read_decisions,
    restore_decisions,
)
from indexer.store.layout import DUPLICATES
from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo
from indexer.store.store import Store
from retrieval.duplicates.groups import Group, GroupKind
from retrieval.duplicates.relation import Relation
from retrieval.duplicates.search import Duplicates, read_duplicates
from retrieval.query import Quad
from ui.duplicates_report import Described

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """A decision of this visit: its group, and what was decided among its images before."""

    ids: Ids
    earlier: Decisions


@dataclass
class Review:
    """The groups of a store, each with a number that it has for the whole visit.

    `verdicts` says in words what was decided, by the images of the group. `key` changes where the
    store, or what was found in it, is another.
    """

    found: Duplicates
    sizes: dict[int, int]
    key: Hashable
    at: Ids = ()  # the group on screen, the first at first
    verdicts: dict[Ids, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.groups = [*self.found.groups, *self.found.decided, *self.found.kept]
        self.ids = [group.image_ids for group in self.groups]  # asked for all groups at once

    @classmethod
    def of(cls, store: StoreReader, allowed: ImageSet | None, before: Review | None) -> Review:
        """Read the groups of a store, and stay where a visitor was `before`."""
        key = state_of(store)
        found = read_duplicates(store, allowed)
        ids = {i for group in (*found.groups, *found.decided, *found.kept) for i in group.image_ids}
        rows = store.catalog.known_files().values()
        review = cls(found, {row.id: row.file.size_bytes for row in rows if row.id in ids}, key)
        if before is not None:
            review.at, review.steps = before.at, before.steps
        return review

    def numbers(self, kind: GroupKind | None, *, with_decided: bool) -> list[int]:
        """Return the places in `groups` of those of a kind: all that this visit is about."""
        last = len(self.groups) if with_decided else len(self.found.groups)
        return [n for n in range(last) if kind in (None, self.groups[n].kind)]

    def verdict(self, number: int) -> str:
        """Return what was decided about a group, in words; empty where it is open."""
        said = self.verdicts.get(self.ids[number], "")
        before = number - len(self.found.groups)
        if said or before < 0:
            return said
        return "decided before" if before < len(self.found.decided) else "all are kept"

    def describe(self, store: StoreReader, numbers: Sequence[int]) -> Described:
        """Return what is known of the images of some groups."""
        groups = [self.groups[n] for n in numbers]
        ids = sorted({i for group in groups for i in group.image_ids})
        undecided = sum(not self.verdict(n) for n in numbers)
        annotations = store.reader.annotations(ids)
        return Described(groups, undecided, store.image_infos(ids), self.sizes, annotations)

    def infos(self, store: StoreReader, number: int) -> list[ImageInfo]:
        """Return what is known of the images of a group, in its order."""
        found = store.image_infos(self.ids[number])
        return [found[image_id] for image_id in self.ids[number] if image_id in found]

    def outlines(self, store: StoreReader, group: Group) -> list[Quad]:
        """Return where the parts of a group are, in pixels of its first image.

        A part may have been found in another image that is the same picture as the first one.
        """
        first = group.image_ids[0]
        relations = [m.relation for m in group.members if m.relation and m.relation.quad]
        infos = store.image_infos({first, *(relation.second for relation in relations)})
        same = [
            g
            for g, ids in zip(self.groups, self.ids, strict=True)
            if g.kind != "part" and ids[0] == first
        ]
        poses = {m.image_id: m.relation for g in same for m in g.members}
        known = {first, *(i for g in same for i in g.image_ids if poses[i] or g.kind == "bytes")}
        return [
            lay(relation.quad, infos[relation.second], infos[first], poses.get(relation.second))
            for relation in relations
            if relation.quad and relation.second in known and {first, relation.second} <= {*infos}
        ]

    def list_copies(self, store: StoreReader) -> bytes:
        """Return the paths of copies, one a line; paths keep every byte.

        Copies are what was decided to be one, and, of open groups of whole pictures, all but the
        first.
        """
        open_groups = [g for n, g in enumerate(self.groups) if not self.verdict(n)]
        copies = {i for g in open_groups if g.kind != "part" for i in g.image_ids[1:]}
        copies |= {copy for _, copy in read_decisions(store).copies}
        infos = store.image_infos(sorted(copies))
        lines = [f"{infos[i].path}\n" for i in sorted(copies) if i in infos]
        return "".join(lines).encode("utf-8", "surrogateescape")

    # --- decisions ----------------------------------------------------------------------------

    def keep(self, store: StoreReader, group: Group) -> None:
        """Decide that all images of a group stay; raises `CbirError`."""
        with self._deciding(store, group.image_ids) as writable:
            keep_all(writable, group.image_ids)
        self.verdicts[group.image_ids] = "all are kept"

    def choose(self, store: StoreReader, group: Group, place: int) -> None:
        """Decide that the image at a place of a group is the original; raises `CbirError`."""
        ids = group.image_ids
        with self._deciding(store, ids) as writable:
            choose_original(writable, ids[place], [i for i in ids if i != ids[place]])
        self.verdicts[ids] = f"picture {place + 1} is the original"

    def take_back(self, store: StoreReader) -> None:
        """Take the last decision back, and go to its group; raises `CbirError`."""
        step = self.steps[-1]
        with self._writing(store) as writable:
            restore_decisions(writable, step.ids, step.earlier)
        self.steps.pop()
        self.verdicts.pop(step.ids, None)
        self.at = step.ids

    @contextmanager
    def _deciding(self, store: StoreReader, ids: Ids) -> Iterator[Store]:
        with self._writing(store) as writable:
            earlier = decisions_about(writable, ids)
            yield writable
        self.steps.append(Step(ids, earlier))

    @contextmanager
    def _writing(self, store: StoreReader) -> Iterator[Store]:
        """Open the store to write, and let `key` follow the own commit, but no other one."""
        with closing(Store.open(store.path)) as writable, writable.writing():
            before = state_of(writable)
            yield writable
            if self.key == before:
                self.key = state_of(writable)


def state_of(store: StoreReader) -> Hashable:
    """Return what changes with a commit, and with what a search finds."""
    try:
        found_ns = (store.derived.path / DUPLICATES).stat().st_mtime_ns
    except OSError:  # nobody has searched
        found_ns = 0
    return store.commits(), found_ns


def lay(quad: Quad, image: ImageInfo, first: ImageInfo, pose: Relation | None) -> Quad:
    """Return an outline in an image as it lies in the `first` one, which is the same picture.

    `pose` is how the image is related to the first one, None where it lies as that does.
    """
    points = [(x / image.width, y / image.height) for x, y in quad]
    if pose is not None:
        points = [(1 - x, y) for x, y in points] if pose.mirrored else points
        for _ in range(pose.turned // 90):
            points = [(1 - y, x) for x, y in points]
    return tuple((x * first.width, y * first.height) for x, y in points)


def next_open(numbers: Sequence[int], place: int, is_open: Callable[[int], bool]) -> int:
    """Return the first place after `place` of a group that is open, else before, else the same."""
    after = (p for p in range(place + 1, len(numbers)) if is_open(numbers[p]))
    before = (p for p in range(place - 1, -1, -1) if is_open(numbers[p]))
    return next(after, next(before, place))
