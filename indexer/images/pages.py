"""Pages: which of the pictures of a file is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from indexer.choices import PageChoice
from indexer.images.facts import PARSER_FAULTS

PAGED = ("TIFF", "MPO", "HEIF", "AVIF")  # formats whose frames are pictures of their own
SUBFILE, REDUCED = 254, 1  # the tag of TIFF that tells a thumbnail
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
    if count == 1 or wanted == "first" or isinstance(wanted, int):
        chosen = pick_page([0] * count, [False] * count, wanted)
    else:
        chosen = _main_page(image, count, wanted)
    if count > 1:
        image.seek(chosen)
    return Pages(count, chosen, image.width * image.height)


def _count_pages(image: Image.Image) -> int:
    if image.format == "MPO" and GAIN_MAP in image.info.get("xmp", b""):
        return 1
    if image.format not in PAGED or (image.format == "AVIF" and getattr(image, "n_frames", 1) > 1):
        return 1
    return int(getattr(image, "n_frames", 1))


def knows_all_pages(image: Image.Image) -> bool:
    """Whether Pillow can read all pages of an opened TIFF; it is left at the first."""
    try:
        for page in range(_count_pages(image)):
            image.seek(page)
    except PARSER_FAULTS:
        return False
    finally:
        image.seek(0)
    return True


def _main_page(image: Image.Image, count: int, wanted: PageChoice) -> int:
    if image.format != "TIFF" and wanted == "auto":
        return image.tell()  # HEIF names its primary picture
    areas, is_reduced = [], []
    for page in range(count):
        image.seek(page)
        areas.append(image.width * image.height)
        is_reduced.append(bool(getattr(image, "tag_v2", {}).get(SUBFILE, 0) & REDUCED))
    return pick_page(areas, is_reduced, wanted)


def pick_page(
    areas: Sequence[int], is_reduced: Sequence[bool], wanted: int | PageChoice = "auto"
) -> int:
    """Return which of the pages, of so many pixels each, is wanted; see `choose_page`.

    `is_reduced` says which of them call themselves a thumbnail of another.
    """
    count = len(areas)
    if isinstance(wanted, int):
        if wanted >= count:
            raise ValueError(f"it has {count} page{'s' * (count > 1)}, not {wanted + 1}")
        return wanted
    if wanted == "first":
        return 0
    largest = max(range(count), key=areas.__getitem__)
    is_thumbnail = is_reduced[0] or areas[0] * THUMBNAIL <= areas[largest]
    return largest if is_thumbnail or wanted == "largest" else 0
