"""Relocating: photos that were moved, noted in the store without reading them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from indexer.errors import NoImagesError
from indexer.images.page_paths import name_page, page_of
from indexer.reading import ReadingOptions
from indexer.sources.access import existing, is_folder
from indexer.sources.place import Place, absolute, is_below, path_below
from indexer.store.records import FileState, KnownFile
from indexer.store.store import Store


@dataclass
class Relocation:
    """What was relocated: how many images, and the places where there is none of them now."""

    moved: int = 0
    missing: list[str] = field(default_factory=list)


def relocate_images(store: Store, old: Place, new: Place) -> Relocation:
    """Note that the images known at `old`, a file or a folder with all below, are at `new` now.

    Either may be a URL or an archive. Images that the store knows at their new place already are
    not kept twice. Raises `NoImagesError`, before anything is changed, where the store knows none
    at `old`, or none of them is at `new`, and `UnreachableError` where that cannot be told.
    """
    old, new = absolute(old), absolute(new)
    with store.writing():
        roots = store.roots()
        known = [
            (row, roots[row.file.root_id] / page_of(row.file.path)[0])
            for row in store.known_files().values()
        ]
        moves = [(row, new / path_below(old, path)) for row, path in known if is_below(path, old)]
        there = existing({path for _, path in moves}, new)
        _require_there(moves, there, old, new)
        report = Relocation(len(moves), sorted({str(p) for _, p in moves if p not in there}))
        inside = {i: root for i, root in roots.items() if is_below(root, old)}
        taken = {path for i, path in roots.items() if i not in inside}
        for root_id, root in inside.items():
            target = new / path_below(old, root)
            if target not in taken:
                store.move_root(root_id, target)
                moves = [(row, path) for row, path in moves if row.file.root_id != root_id]
        _move(store, moves, old, new)
        for root_id in set(inside) & {row.file.root_id for row, _ in moves}:
            store.remove_root(root_id)
    return report


def _require_there(
    moves: Sequence[tuple[KnownFile, Place]], there: set[Place], old: Place, new: Place
) -> None:
    if not moves:
        raise NoImagesError(f"The store knows no image at {old}; nothing was changed.")
    if not there:
        raise NoImagesError(
            f"None of the {len(moves)} images known at {old} is at {new}; nothing was changed."
        )


def _move(store: Store, moves: Sequence[tuple[KnownFile, Place]], old: Place, new: Place) -> None:
    """Move images to the root that they lie in now; what is known there already is forgotten."""
    if not moves:
        return
    known = {key: row.id for key, row in store.known_files().items()}
    moving = {row.id for row, _ in moves}
    doubled, states = [], []
    # The deepest first where they move down, so that no image is put where another still is.
    for row, path in sorted(moves, key=lambda m: str(m[1]), reverse=is_below(new, old)):
        state = _state_at(store, row, path, new)
        there = known.get((state.root_id, state.path))
        if there is not None and there not in moving:
            doubled.append(row.id)
        else:
            states.append((row.id, state))
    store.remove(doubled)
    store.move(states)


def _state_at(store: Store, row: KnownFile, path: Place, new: Place) -> FileState:
    """Return the state of an image's file at its new place."""
    roots = store.roots()
    root_id = next((i for i, root in roots.items() if is_below(path, root)), None)
    if root_id is None:
        options = ReadingOptions(shard=store.shard)
        root_id = store.add_root(new if is_folder(new) else new.parent, options)
        roots = store.roots()
    below = path_below(roots[root_id], path)
    place = name_page(below, page_of(row.file.path)[1])
    return replace(row.file, root_id=root_id, path=place, ctime_ns=None, inode=None)
