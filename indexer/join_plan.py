"""What a join is to do: which images of the parts go where, in the order of one process."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice

from indexer.errors import NoImagesError
from indexer.images.find import walk_order
from indexer.images.page_paths import name_page, page_of
from indexer.shard import Shard
from indexer.sources.access import is_folder
from indexer.sources.place import Place, is_below, path_below
from indexer.store.contents import StoreContents
from indexer.store.records import FileState, KnownFile
from indexer.store.store import Store

NAMED_GAPS = 10
WHOLE = -1  # the number of the whole, where parts have theirs


@dataclass(frozen=True)
class JoinRules:
    """How a join decides.

    Of two photos at one path that differ, the newer one counts if `newest`, and else that of the
    last part. Where it `needs_photos`, the folders of photos have to be there.
    """

    newest: bool = False
    needs_photos: bool = True


JOINING = JoinRules()


@dataclass(frozen=True)
class ImageToJoin:
    """An image of a part, its file as the whole is to have it, and what the whole `known` there."""

    image: KnownFile
    file: FileState
    known: KnownFile | None
    is_older: bool = False  # than the one that the whole has

    @property
    def is_same(self) -> bool:
        """Whether the whole has the same bytes at that path."""
        return self.known is not None and self.known.file.content_hash == self.file.content_hash

    @property
    def is_kept(self) -> bool:
        """Whether what the whole has at that path stays."""
        known = self.known
        return known is not None and (
            self.is_older
            or (self.is_same and (known.reason is None or self.image.reason is not None))
        )


@dataclass(frozen=True)
class FileToJoin:
    """A file of the part number `part`: its images, and rows of the whole that are outdated.

    `root_id` and `path` say where the whole has it. `others` are the numbers of parts, or `WHOLE`,
    that have another file there, which does not count; `part` may be `WHOLE` then.
    """

    part: int
    root_id: int
    path: str
    images: tuple[ImageToJoin, ...]
    outdated: tuple[int, ...] = ()
    others: tuple[int, ...] = ()


_Place = tuple[int, str]
"""A root of the whole, and the path of a file below it."""
_Version = tuple[int, list[KnownFile]]
"""The number of a part, and the images of its file at some place."""


def plan_join(
    whole: Store, parts: Sequence[StoreContents], rules: JoinRules = JOINING
) -> list[FileToJoin]:
    """Return all files of the parts, in the order in which one process would add them.

    Folders of photos that the whole does not know are added to it. Raises `NoImagesError` where a
    folder that is needed is not there.
    """
    for part in parts:
        _add_roots(whole, part, rules)
    found: dict[_Place, list[_Version]] = {}
    for number, part in enumerate(parts):
        for place, rows in _files_of(part, whole.roots()).items():
            found.setdefault(place, []).append((number, rows))
    known = _group(whole.known_files().values())
    return [
        _file_to_join(place, versions, known.get(place, []), rules)
        for place, versions in sorted(found.items(), key=lambda item: _order(item[0]))
    ]


def joined_ids(whole: Store, parts: Sequence[StoreContents]) -> list[dict[int, int]]:
    """Return the ids in the whole of the images of each part, by those in the part.

    Left out are images of which the whole has another version.
    """
    roots, known = whole.roots(), _group(whole.known_files().values())
    return [
        {
            image.image.id: image.known.id
            for place, rows in _files_of(part, roots).items()
            for image in _images_to_join(place, rows, known.get(place, []))
            if image.known is not None and image.is_same
        }
        for part in parts
    ]


def find_gaps(parts: Sequence[StoreContents]) -> list[tuple[str, str]]:
    """Return the folders of which shards are missing among the parts, and which."""
    held: dict[Place, set[Shard]] = {}
    for part in parts:
        roots = part.store.roots()
        for root_id, options in part.store.root_options().items():
            if options.shard is not None:
                held.setdefault(roots[root_id], set()).add(options.shard)
    gaps = []
    for folder, shards in held.items():
        total = next(iter(shards)).count
        missing = total - len(shards)
        if missing and all(shard.count == total for shard in shards):
            others = (s for n in count(1) if (s := Shard(n, total)) not in shards)
            names = ", ".join(map(str, islice(others, min(missing, NAMED_GAPS))))
            more = f" and {missing - NAMED_GAPS} more" if missing > NAMED_GAPS else ""
            gaps.append((str(folder), f"shards that no part holds: {names}{more}"))
    return gaps


def _add_roots(whole: Store, part: StoreContents, rules: JoinRules) -> None:
    with_images = {row.file.root_id for row in part.files}
    options = part.store.root_options()
    for root_id, folder in part.store.roots().items():
        if rules.needs_photos and not is_folder(folder):
            if root_id in with_images:
                raise NoImagesError(
                    f"The store at {part.store.path} holds photos of {folder}, which is not there. "
                    "If it has another name on this machine, say so first: cbir relocate "
                    f"{folder} FOLDER --store {part.store.path}"
                )
        elif not any(is_below(folder, known) for known in whole.roots().values()):
            new_id = whole.add_root(folder, dataclasses.replace(options[root_id], shard=None))
            whole.remember_root(new_id, skipped=part.skipped[root_id])


def _files_of(part: StoreContents, roots: Mapping[int, Place]) -> dict[_Place, list[KnownFile]]:
    """Return the images of a part by the places of their files in the whole."""
    homes = {i: _Home.of(folder, roots) for i, folder in part.store.roots().items()}
    return {homes[i].place_of(path): rows for (i, path), rows in _group(part.files).items()}


@dataclass(frozen=True)
class _Home:
    """Where the whole has the files of a folder: in a root around it, or in others inside it.

    `prefix` and the paths of the `inner` roots, the innermost first, end with a slash.
    """

    root_id: int
    prefix: str
    inner: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, folder: Place, roots: Mapping[int, Place]) -> _Home:
        around = {i: root for i, root in roots.items() if is_below(folder, root)}
        root_id = max(around, key=lambda i: len(around[i].parts), default=0)
        inside = [
            (f"{path_below(folder, root)}/", i)
            for i, root in roots.items()
            if root != folder and is_below(root, folder)
        ]
        inside.sort(key=lambda item: -item[0].count("/"))
        below = "" if not around else path_below(around[root_id], folder)
        return cls(root_id, "" if not below else f"{below}/", tuple(inside))

    def place_of(self, path: str) -> _Place:
        """Return the innermost root that a file of the folder is in, and its path below that."""
        for inner, root_id in self.inner:
            if path.startswith(inner):
                return root_id, path.removeprefix(inner)
        return self.root_id, f"{self.prefix}{path}"


def _group(rows: Iterable[KnownFile]) -> dict[_Place, list[KnownFile]]:
    """Return images by their files, the main picture of each before its pages."""
    files: dict[_Place, list[KnownFile]] = {}
    for row in rows:
        files.setdefault((row.file.root_id, page_of(row.file.path)[0]), []).append(row)
    for of_file in files.values():
        of_file.sort(key=_page)
    return files


def _page(row: KnownFile) -> int:
    page = page_of(row.file.path)[1]
    return -1 if page is None else page


def _order(place: _Place) -> tuple[object, ...]:
    return place[0], walk_order(place[1])


def _file_to_join(
    place: _Place, versions: Sequence[_Version], known: list[KnownFile], rules: JoinRules
) -> FileToJoin:
    if not rules.newest:
        part, rows = versions[-1]
        return FileToJoin(part, *place, _images_to_join(place, rows, known), _outdated(rows, known))
    part, rows = max(versions, key=lambda version: _age(version[1]))  # the first of equals
    is_older = bool(known) and _hashes(known) != _hashes(rows) and _age(known) >= _age(rows)
    counted = _hashes(known if is_older else rows)
    all_versions = [*versions, (WHOLE, known)] if known else versions
    others = tuple(number for number, own in all_versions if _hashes(own) != counted)
    if not is_older:
        images = _images_to_join(place, rows, known)
        return FileToJoin(part, *place, images, _outdated(rows, known), others)
    images = tuple(
        dataclasses.replace(image, is_older=True)
        for image in _images_to_join(place, rows, known)
        if image.known is not None
    )
    return FileToJoin(WHOLE, *place, images, (), others)


def _outdated(rows: Sequence[KnownFile], known: Sequence[KnownFile]) -> tuple[int, ...]:
    """Return the pages that the whole has of another version of a file, and no part has."""
    pages = {_page(row) for row in rows}
    hashes = {row.file.content_hash for row in rows}
    return tuple(
        row.id for row in known if _page(row) not in pages and row.file.content_hash not in hashes
    )


def _images_to_join(
    place: _Place, rows: Sequence[KnownFile], known: Sequence[KnownFile]
) -> tuple[ImageToJoin, ...]:
    root_id, path = place
    there = {_page(row): row for row in known}
    return tuple(
        ImageToJoin(
            row,
            dataclasses.replace(
                row.file, root_id=root_id, path=name_page(path, page_of(row.file.path)[1])
            ),
            there.get(_page(row)),
        )
        for row in rows
    )


def _hashes(rows: Sequence[KnownFile]) -> set[bytes]:
    """Return what tells versions of a file apart; pages that could not be read have none."""
    return {row.file.content_hash for row in rows if row.file.content_hash}


def _age(rows: Sequence[KnownFile]) -> tuple[bool, int]:
    """Return what is higher for a newer version of a file; one that could not be read is oldest."""
    file = rows[0].file
    return bool(file.content_hash), file.mtime_ns
