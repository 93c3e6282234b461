"""Hits saved in a folder: copies of the photos, or links to them, and a table."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from indexer.errors import CbirError, ImageError, InaccessibleImageError
from indexer.images.page_paths import find_page
from indexer.progress import Progress, no_progress
from indexer.sources.access import fetch_image, is_elsewhere, source_of, why_not
from indexer.sources.place import Place
from indexer.store.filter_values import read_number
from retrieval.query import Hit
from ui.gallery import resolve_inside
from ui.render import GONE, hit_as_dict

TABLE = "hits.csv"
COLUMNS = ("rank", "file", "path", "score", "confidence", "verdict", "box", "note")
OUTSIDE = "lies outside the indexed folders: it is a link that leads away"
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r")
NAME_BYTES = 255  # of a file, on usual disks
HELD_BYTES = 64 << 20  # of a photo from elsewhere that are in memory
CHUNK_BYTES = 1 << 20


def save_hits(
    folder: Path,
    hits: Sequence[Hit],
    *,
    links: bool = False,
    roots: Sequence[Place] | None = None,
    progress: Progress = no_progress,
) -> list[tuple[str, str]]:
    """Copy the photos of hits into a folder, as 001-NAME in order, and write `hits.csv`.

    With `links`, those of this machine are linked to. With `roots`, only photos in these folders
    are read, links resolved. Returns (path, reason) of photos that cannot be had. Raises
    `CbirError` where a file of such a name is there already, or the folder cannot be written to.
    """
    names = _names(hits)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _require_free(folder, [TABLE, *names])
        notes = []
        for done, (hit, name) in enumerate(zip(hits, names, strict=True)):
            progress("Saving hits", done, len(hits))
            notes.append(_save(hit, folder / name, links=links, roots=roots))
        progress("Saving hits", len(hits), len(hits))
        with (folder / TABLE).open("xb") as file:
            file.write(_as_csv(hits, names, notes))
    except OSError as error:
        raise CbirError(f"Hits cannot be saved in {folder}: {error.strerror or error}.") from error
    return [(str(hit.path), note) for hit, note in zip(hits, notes, strict=True) if note]


def as_table(hits: Sequence[Hit]) -> bytes:
    """Return the table of hits alone, for photos that are saved nowhere."""
    return _as_csv(hits, [""] * len(hits), [""] * len(hits))


def _names(hits: Sequence[Hit]) -> list[str]:
    """Return the names that the photos get, each after its rank."""
    digits = max(3, len(str(len(hits))))
    return [_name(f"{hit.rank:0{digits}d}-", find_page(hit.path)[0]) for hit in hits]


def _name(prefix: str, place: Place) -> str:
    """Return a name that a disk takes: where it would be too long, the middle is left out."""
    stem, suffix = place.stem, place.suffix
    while stem and len(os.fsencode(f"{prefix}{stem}{suffix}")) > NAME_BYTES:
        stem = stem[:-1]
    return f"{prefix}{stem}{suffix}"


def _require_free(folder: Path, names: Sequence[str]) -> None:
    taken = next((name for name in names if os.path.lexists(folder / name)), None)
    if taken is not None:
        raise CbirError(
            f"{folder / taken} is there already, and nothing is overwritten. Name another folder."
        )


def _save(hit: Hit, target: Path, *, links: bool, roots: Sequence[Place] | None) -> str:
    """Save the photo of a hit; returns why that cannot be done, if so. Raises `OSError`."""
    if hit.is_missing:
        return GONE
    if roots is not None and resolve_inside(hit.path, roots) is None:
        return OUTSIDE
    place = find_page(hit.path)[0]
    if links and isinstance(place, Path) and not is_elsewhere(place):
        _link(Path(os.path.abspath(place)), target)
        return ""
    try:
        with _opened(place) as source, _new_file(target) as file:
            _copy(place, source, file)
    except ImageError as error:
        return error.reason
    if isinstance(place, Path) and not is_elsewhere(place):
        with contextlib.suppress(OSError):  # dates and rights are a courtesy
            shutil.copystat(place, target)
    return ""


def _link(file: Path, target: Path) -> None:
    """Make a symbolic link, or a hard one where the system allows no other."""
    try:
        target.symlink_to(file)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        os.link(file, target)


@contextmanager
def _opened(place: Place) -> Iterator[IO[bytes]]:
    """Open a photo, wherever it is; raises `ImageError`."""
    if is_elsewhere(place):
        data = fetch_image(place, HELD_BYTES)
        with io.BytesIO(data) if isinstance(data, bytes) else data as stream:
            yield stream
        return
    try:
        file = source_of(place).open(place)
    except OSError as error:
        raise InaccessibleImageError(str(place), why_not(error)) from error
    with file:
        yield file


@contextmanager
def _new_file(target: Path) -> Iterator[IO[bytes]]:
    """Open a new file for writing, which is deleted unless it becomes whole."""
    with target.open("xb") as file:
        try:
            yield file
        except BaseException:
            file.close()
            target.unlink()
            raise


def _copy(place: Place, source: IO[bytes], file: IO[bytes]) -> None:
    """Copy a photo; raises `ImageError` where it cannot be read, `OSError` for the copy."""
    while True:
        try:
            chunk = source.read(CHUNK_BYTES)
        except OSError as error:
            raise InaccessibleImageError(str(place), why_not(error)) from error
        if not chunk:
            return
        file.write(chunk)


def _as_csv(hits: Sequence[Hit], names: Sequence[str], notes: Sequence[str]) -> bytes:
    """Return the table; paths keep every byte that they have on disk."""
    fields = [*dict.fromkeys(name for hit in hits for name in hit.annotations)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names_of_fields = [f"{name}_field" if name.lower() in COLUMNS else name for name in fields]
    writer.writerow([*COLUMNS, *map(as_cell, names_of_fields)])
    for hit, name, note in zip(hits, names, notes, strict=True):
        values: dict[str, Any] = hit_as_dict(hit, missing=False)
        values |= {"file": "" if note else name, "box": str(hit.region or ""), "note": note}
        said = [as_cell(hit.annotations.get(field, "")) for field in fields]
        writer.writerow([*(values[column] for column in COLUMNS), *said])
    return out.getvalue().encode("utf-8", "surrogateescape")


def as_cell(cell: str) -> str:
    """Return what a field says so that no program for tables takes it for a formula."""
    is_formula = cell.startswith(FORMULA) and read_number(cell.strip()) is None
    return f"'{cell}" if is_formula else cell
