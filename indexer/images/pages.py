"""Pages: which of the pictures of a file is taken."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

PAGED = ("TIFF", "MPO", "HEIF", "AVIF")  # formats whose frames are pictures of their own
SUBFILE, REDUCED = 254, 1  # the tag of TIFF that tells a thumbnail
THUMBNAIL = 4  # times fewer pixels than the largest page


@dataclass(frozen=True)
class Pages:
    """How many pictures a file holds, which of them was chosen, and how many pixels that has."""

    count: int
    chosen: int
    area: int


def choose_page(image: Image.Image) -> Pages:
    """Move to the first page of an opened image, or to the largest where that is a thumbnail."""
    count = getattr(image, "n_frames", 1) if image.format in PAGED else 1
    if count == 1 or (getattr(image, "is_animated", False) and image.format == "AVIF"):
        return Pages(1, 0, image.width * image.height)
    if image.format != "TIFF":
        return Pages(count, image.tell(), image.width * image.height)
    areas, is_reduced = [], []
    for page in range(count):
        image.seek(page)
        areas.append(image.width * image.height)
        is_reduced.append(bool(getattr(image, "tag_v2", {}).get(SUBFILE, 0) & REDUCED))
    largest = max(range(count), key=lambda page: areas[page])
    is_thumbnail = is_reduced[0] or areas[0] * THUMBNAIL <= areas[largest]
    chosen = largest if is_thumbnail else 0
    image.seek(chosen)
    return Pages(count, chosen, areas[chosen])
