"""Moving photos into a folder, with a file by which that can be undone."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from indexer.errors import MoveError
from indexer.sources.place import Place, is_below
from indexer.store.reader import StoreReader
from indexer.store.records import FileState

UNDO_NAME = "cbir-undo-{}.jsonl"


@dataclass
class MoveReport:
    """What was moved, and what was not, with the reason; `undo_file` takes it back."""

    moved: list[tuple[Path, Path]] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)
    undo_file: Path | None = None


def move_copies(store: StoreReader, groups: Sequence[Sequence[int]], folder: Path) -> MoveReport:
    """Move the files of all images but the first of each group into a folder.

    Each lies there below the name of its folder of photos. Nothing is overwritten. What has changed
    since it was indexed stays, as do photos elsewhere and single pages of files, and all copies of
    a first image that is not there. Each move is written down in the undo file, and synced, before
    it happens. Raises `MoveError` where the folder cannot be used.
    """
    folder = folder.absolute()
    roots = store.roots()
    inside = next((r for r in roots.values() if isinstance(r, Path) and is_below(folder, r)), None)
    if inside is not None:
        raise MoveError(
            f"{folder} lies inside {inside}, whose photos are indexed: they would be found there "
            "again. Choose a folder elsewhere."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MoveError(f"{folder} cannot be used: {error.strerror}.") from error
    files = {row.id: row.file for row in store.catalog.known_files().values()}
    report = MoveReport()
    for first, *copies in groups:
        lost = why_not(roots[files[first].root_id], files[first])
        for image_id in copies:
            file = files[image_id]
            root = roots[file.root_id]
            reason = f"the photo to keep, image {first}: {lost}" if lost else why_not(root, file)
            if reason is None and isinstance(root, Path):
                _try_move(report, root, file.path, folder)
            else:
                report.left.append((str(root / file.path), reason or ""))
    return report


def why_not(root: Place, file: FileState) -> str | None:
    """Return why the file of an image cannot be moved, None where it can be."""
    if not isinstance(root, Path) or "#page=" in file.path or not root.is_dir():
        return "no file of its own on this machine"
    path = root / file.path
    try:
        stat = path.lstat()
    except OSError as error:
        return error.strerror or str(error)
    if path.is_symlink() or not path.is_file():
        return "not a plain file"
    now = FileState.of(file.root_id, file.path, stat)
    if (now.size_bytes, now.mtime_ns) != (file.size_bytes, file.mtime_ns):
        return "it has changed since it was indexed"
    return None


def undo_moves(undo_file: Path) -> MoveReport:
    """Move back what an undo file names, the last first.

    A place that is taken again is left alone. Raises `MoveError` for a file that is no undo file.
    """
    report = MoveReport(undo_file=undo_file)
    for source, target in reversed(_read(undo_file)):
        if not os.path.lexists(target):
            if not os.path.lexists(source):
                report.left.append((str(target), "it is gone"))
            continue  # it was never moved, or is back already
        if os.path.lexists(source):
            report.left.append((str(target), f"{source} exists"))
            continue
        try:
            source.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(target, source)
            report.moved.append((target, source))
        except OSError as error:
            report.left.append((str(target), error.strerror or str(error)))
    return report


def _try_move(report: MoveReport, root: Path, path: str, folder: Path) -> None:
    source = root / path
    target = _free(folder / (root.name or "photos") / path)
    try:
        _move(report, source, target, folder)
    except OSError as error:
        report.left.append((str(source), error.strerror or str(error)))


def _move(report: MoveReport, source: Path, target: Path, folder: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if report.undo_file is None:
        now = dt.datetime.now().strftime("%Y%m%d-%H%M%S")
        report.undo_file = _free(folder / UNDO_NAME.format(now))
    line = json.dumps({"from": str(source), "to": str(target)})
    with report.undo_file.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())
    shutil.move(source, target)
    report.moved.append((source, target))


def _free(path: Path) -> Path:
    """Return a path that nothing has yet: this one, or one with a number."""
    number, found = 1, path
    while os.path.lexists(found):
        number += 1
        found = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return found


def _read(undo_file: Path) -> list[tuple[Path, Path]]:
    try:
        # A line without its end was not written whole, so its move was not made.
        whole = undo_file.read_text("utf-8").rpartition("\n")[0]
        rows = [json.loads(line) for line in whole.split("\n") if line]
        found = [(Path(row["from"]), Path(row["to"])) for row in rows]
    except OSError as error:
        raise MoveError(f"{undo_file} cannot be read: {error.strerror or error}.") from error
    except (ValueError, TypeError, KeyError) as error:
        raise MoveError(
            f"{undo_file} is not an undo file of cbir duplicates --move-to; these are called "
            f"{UNDO_NAME.format('DATE')}."
        ) from error
    if not all(path.is_absolute() for pair in found for path in pair):
        raise MoveError(f"{undo_file} names places that are not absolute.")
    return found
