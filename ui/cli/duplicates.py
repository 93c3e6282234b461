"""`cbir duplicates`: groups of the same picture, what is decided about them, and moving copies."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from indexer.errors import CbirError
from ui.cli.indexing import catching_interrupts
from ui.cli.shell import JsonOption, StoreOption, app, open_store, require_choice, say
from ui.cli.stores import stoppable

if TYPE_CHECKING:  # loaded when the command runs
    from indexer.moving import MoveReport
    from indexer.store.store import Store
    from retrieval.duplicates.groups import Group
    from retrieval.duplicates.search import Duplicates

GROUP_KINDS = ("bytes", "picture", "part")
KEPT = "What was compared is kept; run it again to continue."


@app.command()
def duplicates(
    where: Annotated[
        str | None, typer.Option(help="Search only photos that pass this filter, as in query.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            callback=require_choice(GROUP_KINDS),
            help="Only groups of this kind: bytes, picture or part; may be given several times.",
            show_default="all",
        ),
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Show groups that are decided, too.")
    ] = False,
    known: Annotated[
        bool, typer.Option("--known", help="Show what earlier searches found; compare nothing.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page with the pictures.")] = None,
    as_csv: Annotated[
        Path | None, typer.Option("--csv", help="Write a table, a row a photo.")
    ] = None,
    list_file: Annotated[
        Path | None,
        typer.Option(
            "--list", help="Write the paths of all copies: all but the first of each group."
        ),
    ] = None,
    move_to: Annotated[
        Path | None,
        typer.Option(help="Move these copies into this folder, which then holds an undo file."),
    ] = None,
    undo: Annotated[
        Path | None, typer.Option(help="Move back what this undo file names, and do nothing else.")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            help="Decide that all photos of this one's groups stay: they are not shown again. A "
            "path or an image id; may be given several times."
        ),
    ] = None,
    original: Annotated[
        list[str] | None,
        typer.Option(help="Decide that this photo is the original of its group."),
    ] = None,
    forget: Annotated[
        list[str] | None, typer.Option(help="Forget what was decided about this photo.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find photos that are there twice: the same bytes, the same picture, or a part of another.

    The same picture may be re-encoded, resized, recoloured, turned or mirrored; a part may be cut
    out, or pasted into another picture. Nothing is ever deleted: write a --list, or --move-to a
    folder. The first search finds the keypoints of all photos, which takes long and is kept.
    """
    if undo is not None:
        _undo(undo, as_json=as_json)
        return
    opened = open_store(store)
    if keep or original or forget:
        _decide(opened, keep or (), original or (), forget or ())
        return
    found = _find(opened, where, kind or GROUP_KINDS, known=known)
    _report(opened, found, html, as_csv, list_file, show_all=show_all, as_json=as_json)
    if move_to is not None:
        _move(opened, found, move_to, as_json=as_json)


def _find(store: Store, where: str | None, kinds: Sequence[str], *, known: bool) -> Duplicates:
    from dataclasses import replace

    from indexer.store.filters import ImageFilter, find_ids
    from retrieval.collection import Collection
    from retrieval.duplicates.search import find_duplicates, read_duplicates
    from ui.progress import ConsoleProgress

    allowed = find_ids(store, ImageFilter(where=where)) if where else None
    if known:
        found = read_duplicates(store, allowed)
    else:
        with stoppable(KEPT), catching_interrupts() as stop, ConsoleProgress() as progress:
            found = find_duplicates(Collection(store), allowed, progress=progress, stop=stop)

    def chosen(groups: Sequence[Group]) -> list[Group]:
        return [group for group in groups if group.kind in kinds]

    return replace(found, groups=chosen(found.groups), decided=chosen(found.decided))


def _report(
    store: Store,
    found: Duplicates,
    html: Path | None,
    as_csv: Path | None,
    list_file: Path | None,
    *,
    show_all: bool,
    as_json: bool,
) -> None:
    from ui import duplicates_report as report

    described = report.Described.of(store, found, with_decided=show_all)
    copies = [i for group in found.of_copies for i in group.image_ids[1:]]
    infos = store.image_infos(copies)
    lines = "".join(f"{infos[i].path}\n" for i in copies if i in infos)
    _write(html, lambda: report.groups_as_html(described))
    _write(as_csv, lambda: report.groups_as_csv(described))
    _write(list_file, lambda: lines.encode("utf-8", "surrogateescape"))
    if as_json:
        for number in range(1, len(described.groups) + 1):
            say(json.dumps(report.group_as_dict(described, number)))
    else:
        say(*report.groups_as_text(described, found))


def _write(file: Path | None, make: Callable[[], bytes]) -> None:
    """Write a file, if it is asked for."""
    if file is None:
        return
    data = make()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    except OSError as error:
        raise CbirError(f"{file} cannot be written: {error.strerror}.") from error
    say(f"Wrote {file}", err=True)


def _move(store: Store, found: Duplicates, folder: Path, *, as_json: bool) -> None:
    from indexer.moving import move_copies

    groups = [group.image_ids for group in found.of_copies]
    with stoppable(f"What was moved is named in the undo file in {folder}."):
        moved = move_copies(store, groups, folder)
    _say_moves(moved, as_json=as_json)
    if moved.undo_file is not None and not as_json:
        say(f"Move them back with: cbir duplicates --undo {moved.undo_file}")
        say("The store forgets them with the next: cbir index")


def _undo(undo_file: Path, *, as_json: bool) -> None:
    from indexer.moving import undo_moves

    _say_moves(undo_moves(undo_file), as_json=as_json)


def _say_moves(report: MoveReport, *, as_json: bool) -> None:
    if as_json:
        moved = [{"from": str(source), "to": str(target)} for source, target in report.moved]
        left = [{"path": path, "reason": reason} for path, reason in report.left]
        undo = str(report.undo_file) if report.undo_file else None
        say(json.dumps({"moved": moved, "left": left, "undo": undo}))
        return
    say(f"{len(report.moved):,} photos moved.")
    say(*(f"  left {path}: {reason}" for path, reason in report.left), err=True)


def _decide(
    store: Store, keep: Sequence[str], original: Sequence[str], forget: Sequence[str]
) -> None:
    from indexer.store.decisions import choose_original, forget_all, keep_all
    from retrieval.duplicates.search import groups_of, read_duplicates

    found = read_duplicates(store)
    with store.writing():
        for name in keep:
            for group in groups_of(found, _image_id(store, name)):
                keep_all(store, group.image_ids)
        for name in original:
            image_id = _image_id(store, name)
            for group in groups_of(found, image_id):
                if group.kind != "part":
                    choose_original(store, image_id, group.image_ids)
        if forget:
            forget_all(store, [_image_id(store, name) for name in forget])
    say("Decided. The next search leaves out what is settled; --all shows it.")


def _image_id(store: Store, name: str) -> int:
    """Return the id of an image that is named by it, or by its path."""
    from indexer.errors import InvalidQueryError
    from indexer.sources.place import to_place

    if name.isdecimal() and store.image_infos([int(name)]):
        return int(name)
    info = store.find_image(to_place(name))
    if info is None:
        raise InvalidQueryError(f"The store has no image {name}: give its path, or its image id.")
    return info.id
