"""Camera RAW that is a TIFF inside: the preview that the camera put into the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from typing import IO, Any

from PIL import ExifTags, Image, ImageFile

from indexer.choices import PageChoice
from indexer.images.facts import PARSER_FAULTS, ImageFacts, facts_of_page
from indexer.images.tiff_page import PICTURES, kind_of, open_tiff, orientation_of

SENSOR = {32803, 34892}  # photometric interpretations: values of a sensor, as they are or linear
COMPRESSIONS = {32767, 34713, 65535}  # of Sony, Nikon and Pentax
CANON, CANON_PLACE = b"CR\x02", 8  # in the header of a CR2, and where
JPEGS = {6, 7}  # compressions
START, LENGTH = 513, 514  # tags of a JPEG without strips
PAGES = 8  # in a row, that a camera writes at most


@dataclass(frozen=True)
class Preview:
    """A JPEG in a RAW file, how it becomes upright, and what the file says of it."""

    jpeg: bytes
    orientation: object
    facts: ImageFacts


def may_be_raw(image: ImageFile.ImageFile) -> bool:
    """Whether an opened picture is a TIFF that a camera may have made."""
    tags: Any = getattr(image, "tag_v2", {})
    return image.format == "TIFF" and ExifTags.Base.Make in tags


def find_preview(file: IO[bytes] | None, wanted: int | PageChoice) -> Preview | None:
    """Return the largest preview of a camera RAW; None for any other TIFF, and where it has none.

    None, too, where a page is wanted by its number. `file` is left where it was.
    """
    if file is None or isinstance(wanted, int):
        return None
    place = file.tell()
    file.seek(CANON_PLACE)
    is_canon = file.read(len(CANON)) == CANON
    file.seek(place)
    with open_tiff(file) as opened:
        pages = list(_all_pages(opened))
        if not is_canon and not any(_is_of_sensor(page) for page in pages):
            return None
        sizes = {jpeg: size for page in pages for jpeg, size in _jpeg_of(page)}
        jpeg = max(sizes, key=lambda found: sizes[found][0] * sizes[found][1], default=None)
        if jpeg is None or any(_area(page) > sizes[jpeg][0] * sizes[jpeg][1] for page in pages):
            return None
        main = opened.pages[0]
        return Preview(jpeg, orientation_of(main), facts_of_page(main, sizes[jpeg]))


def _all_pages(opened: Any) -> Iterator[Any]:
    for page in islice(opened.pages, PAGES):
        yield page
        yield from page.pages or ()


def _is_of_sensor(page: Any) -> bool:
    return kind_of(page) in SENSOR or page.compression in COMPRESSIONS


def _area(page: Any) -> int:
    """Return how many pixels a page has that is a picture, but no JPEG."""
    is_other = _is_of_sensor(page) or page.compression in JPEGS or kind_of(page) not in PICTURES
    return 0 if is_other else int(page.imagewidth * page.imagelength)


def _jpeg_of(page: Any) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Yield the JPEG of a page and its (width, height), if it is one of 8 bits."""
    if _is_of_sensor(page) or page.compression not in JPEGS:
        return
    tags = page.tags
    if START in tags and LENGTH in tags:
        start, length = (_first(tags[tag].value) for tag in (START, LENGTH))
    elif len(page.dataoffsets) == 1:
        [start], [length] = page.dataoffsets, page.databytecounts
    else:
        return
    file = page.parent.filehandle
    file.seek(start)
    data = bytes(file.read(length))
    try:
        with Image.open(BytesIO(data), formats=("JPEG", "MPO")) as image:
            yield data, image.size
    except PARSER_FAULTS:  # Canon's sensor values are a JPEG of more bits
        return


def _first(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)
