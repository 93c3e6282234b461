"""Pages: which of the pictures of a file is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from indexer.choices import PageChoice
from indexer.images.facts import PARSER_FAULTS

PAGED = ("TIFF", "MPO", "HEIF", "AVIF")  # formats whose frames are pictures of their own
SUBFILE = 254  # the tag of TIFF that tells what a page is
REDUCED, MASK = 1, 4  # bits of it: a smaller copy of another, and its transparency
GAIN_MAP = b"hdrgm:Version"  # in the XMP of a JPEG whose second picture only brightens the first
THUMBNAIL = 4  # times fewer pixels than the largest page


@dataclass(frozen=True)
class Pages:
    """How many pictures a file holds, which of them was chosen, and how many pixels that has."""

    count: int
    chosen: int
    area: int


def choose_page(image: Image.Image, wanted: int | PageChoice = "auto") -> Pages:
    """Move an opened image to the page that is wanted; raises `ValueError` where it has none such.

    With auto that is the first one, or the largest where the first is a thumbnail.
    """
    count = _count_pages(image)
    if count == 1 or isinstance(wanted, int) or (wanted == "first" and image.format != "TIFF"):
        chosen = pick_page([0] * count, [0] * count, wanted)
    elif image.format != "TIFF" and wanted == "auto":
        chosen = image.tell()  # HEIF names its primary picture
    else:
        areas, kinds = _look_at_pages(image, count)
        count = count_own(kinds)
        chosen = pick_page(areas[:count], kinds[:count], wanted)
    if getattr(image, "n_frames", 1) > 1 and image.format in PAGED:
        image.seek(chosen)
    return Pages(count, chosen, image.width * image.height)


def _count_pages(image: Image.Image) -> int:
    if image.format == "MPO" and GAIN_MAP in image.info.get("xmp", b""):
        return 1
    if image.format not in PAGED or (image.format == "AVIF" and getattr(image, "n_frames", 1) > 1):
        return 1
    return int(getattr(image, "n_frames", 1))


def knows_pages(image: Image.Image) -> bool:
    """Whether Pillow can read all pages of an opened picture."""
    try:
        _count_pages(image)
    except PARSER_FAULTS:
        return False
    return True


def _look_at_pages(image: Image.Image, count: int) -> tuple[list[int], list[int]]:
    """Return how many pixels pages have, and what they call themselves."""
    areas, kinds = [], []
    for page in range(count):
        image.seek(page)
        areas.append(image.width * image.height)
        kinds.append(int(getattr(image, "tag_v2", {}).get(SUBFILE, 0)))
    return areas, kinds


def count_own(kinds: Sequence[int]) -> int:
    """Return how many pages a TIFF has without the smaller copies and masks that follow the last.

    `kinds` are what pages call themselves, in the bits of a tag.
    """
    own = [place for place, kind in enumerate(kinds) if not kind & (REDUCED | MASK)]
    return own[-1] + 1 if own else len(kinds)


def pick_page(areas: Sequence[int], kinds: Sequence[int], wanted: int | PageChoice = "auto") -> int:
    """Return which of the pages, of so many pixels each, is wanted; see `choose_page`.

    `kinds` are what they call themselves, such as a thumbnail of another.
    """
    count = len(areas)
    if isinstance(wanted, int):
        if wanted >= count:
            raise ValueError(f"it has {count} page{'s' * (count > 1)}, not {wanted + 1}")
        return wanted
    if wanted == "first":
        return 0
    largest = max(range(count), key=areas.__getitem__)
    is_thumbnail = kinds[0] & REDUCED or areas[0] * THUMBNAIL <= areas[largest]
    return largest if is_thumbnail or wanted == "largest" else 0
