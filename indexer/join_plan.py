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


@dataclass(frozen=True)
class ImageToJoin:
    """An image of a part, its file as the whole is to have it, and what the whole `known` there."""

    image: KnownFile
    file: FileState
    known: KnownFile | None

    @property
    def is_kept(self) -> bool:
        """Whether what the whole has at that path is the same already."""
        known = self.known
        return (
            known is not None
            and known.file.content_hash == self.file.content_hash
            and (known.reason is None or self.image.reason is not None)
        )


@dataclass(frozen=True)
class FileToJoin:
    """A file of the part number `part`: its images, and rows of the whole that are outdated.

    `root_id` and `path` say where the whole has it.
    """

    part: int
    root_id: int
    path: str
    images: tuple[ImageToJoin, ...]
    outdated: tuple[int, ...] = ()


_Place = tuple[int, str]
"""A root of the whole, and the path of a file below it."""


def plan_join(whole: Store, parts: Sequence[StoreContents]) -> list[FileToJoin]:
    """Return all files of the parts, in the order in which one process would add them.

    Folders of photos that the whole does not know are added to it. Of a file that several parts
    have, the last one counts. Raises `NoImagesError` where a folder is not there.
    """
    for part in parts:
        _add_roots(whole, part)
    found: dict[_Place, tuple[int, list[KnownFile]]] = {}
    for number, part in enumerate(parts):
        found |= {place: (number, rows) for place, rows in _files_of(part, whole.roots()).items()}
    known = _group(whole.known_files().values())
    return [
        _file_to_join(number, place, rows, known.get(place, []))
        for place, (number, rows) in sorted(found.items(), key=lambda item: _order(item[0]))
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


def _add_roots(whole: Store, part: StoreContents) -> None:
    with_images = {row.file.root_id for row in part.files}
    options = part.store.root_options()
    for root_id, folder in part.store.roots().items():
        if not is_folder(folder):
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
    part: int, place: _Place, rows: Sequence[KnownFile], known: Sequence[KnownFile]
) -> FileToJoin:
    root_id, path = place
    there = {_page(row): row for row in known}
    images = tuple(
        ImageToJoin(
            row,
            dataclasses.replace(
                row.file, root_id=root_id, path=name_page(path, page_of(row.file.path)[1])
            ),
            there.get(_page(row)),
        )
        for row in rows
    )
    pages = {_page(row) for row in rows}
    hashes = {row.file.content_hash for row in rows}
    outdated = tuple(
        row.id for row in known if _page(row) not in pages and row.file.content_hash not in hashes
    )
    return FileToJoin(part, root_id, path, images, outdated)
