"""Oxford5k and Paris6k from their own ground-truth files.

Philbin et al. 2007 and 2008. For each query there are four files: NAME_query.txt has the image and
the box, NAME_good.txt and NAME_ok.txt the positives, NAME_junk.txt what does not count. The query's
own image stays in the database, and is a positive where it is listed as one.
"""

from __future__ import annotations

from pathlib import Path

from indexer.errors import CbirError, InvalidLabelsError
from indexer.images.find import find_images
from retrieval.evaluation.image_folders import choose_folder, round_box
from retrieval.evaluation.manifest import Manifest, ManifestQuery

QUERY = "_query.txt"
PREFIX = "oxc1_"  # of the names in Oxford's query files


def is_oxford(folder: Path) -> bool:
    """Whether a folder holds such files."""
    return any(folder.glob(f"*{QUERY}"))


def read_oxford(folder: Path, images: Path | None = None) -> Manifest:
    """Read the ground-truth files of a folder; raises `InvalidLabelsError`, naming file and line.

    The database is every image of the images' folder, which may have subfolders.
    """
    files = sorted(folder.glob(f"*{QUERY}"))
    first = _read_query(files[0])[0]
    place = choose_folder(folder, images, lambda home: any(home.rglob(f"{first}.*")))
    entries = _entries_by_name(place)
    return Manifest(
        name=folder.resolve().name,
        folder=place,
        database=sorted(entries.values()),
        queries=[_read_files(file, place, entries) for file in files],
        boxes={},
        clips_boxes=True,
    )


def _entries_by_name(folder: Path) -> dict[str, str]:
    entries: dict[str, str] = {}
    for found in find_images(folder):
        path = Path(found.path)
        entry = path.relative_to(folder).as_posix()
        if entries.setdefault(path.stem, entry) != entry:
            raise InvalidLabelsError(
                f"{folder} has two images {path.stem}: {entries[path.stem]} and {entry}; names "
                "must be distinct, as the ground-truth files give nothing else."
            )
    return entries


def _read_files(file: Path, folder: Path, entries: dict[str, str]) -> ManifestQuery:
    stem = file.name.removesuffix(QUERY)
    image, values = _read_query(file)
    if image not in entries:
        raise InvalidLabelsError(f"{file}, line 1: {folder} has no image {image}.")
    lists = {kind: file.with_name(f"{stem}_{kind}.txt") for kind in ("good", "ok", "junk")}
    found = {kind: _read_names(path, folder, entries) for kind, path in lists.items()}
    try:
        box = round_box(values)
    except CbirError as error:
        raise InvalidLabelsError(f"{file}, line 1: {error}") from error
    return ManifestQuery(
        id=stem,
        image=folder / entries[image],
        box=box,
        positives=found["good"] | found["ok"],
        junk=found["junk"],
    )


def _read_query(file: Path) -> tuple[str, list[float]]:
    """Return the image's name and the coordinates of the box."""
    words = _read_text(file).split()
    try:
        if len(words) != 5:
            raise ValueError(f"{len(words)} words")
        return words[0].removeprefix(PREFIX), [float(word) for word in words[1:]]
    except ValueError as error:
        raise InvalidLabelsError(
            f"{file}, line 1: an image and four coordinates are needed, such as "
            f"'{PREFIX}all_souls_000013 136.5 34.1 648.5 955.7': {error}."
        ) from error


def _read_names(file: Path, folder: Path, entries: dict[str, str]) -> frozenset[str]:
    names = []
    for number, line in enumerate(_read_text(file).split("\n"), 1):
        name = line.strip()
        if name and name not in entries:
            raise InvalidLabelsError(f"{file}, line {number}: {folder} has no image {name[:80]!r}.")
        if name:
            names.append(entries[name])
    return frozenset(names)


def _read_text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except OSError as error:
        raise InvalidLabelsError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidLabelsError(f"{file} is not a text file in UTF-8.") from error
