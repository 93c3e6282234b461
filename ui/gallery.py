"""Gallery: pictures of a store's images for the screen, by image id, and of nothing else."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

from PIL import Image, ImageDraw

from indexer.errors import (
    ImageError,
    InaccessibleImageError,
    InvalidQueryError,
    OutsideRootsError,
)
from indexer.images.accepted import load_accepted
from indexer.images.page_paths import find_page, name_page
from indexer.memory import Shelf
from indexer.sources.access import is_elsewhere
from indexer.sources.place import Place, Remote, is_below
from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo

THUMBNAIL_PX = 320
THUMBNAIL_SIDES = (160, THUMBNAIL_PX, 640)  # for the density of the screen
VERSION_DIGITS = 16
SCREEN_PX = 1200  # the long side of the largest picture that is ever sent
QUALITY = 84
ELSEWHERE = "0-0"  # the state of a file that is not looked at
READERS = 2


class Gallery:
    """Shows images of one store, none larger than a screen needs.

    An image is named by its id; its file must lie, links resolved, inside a folder that was
    indexed. Thumbnails are made once and kept with the store, under the state of the file that
    they were made of. Threads may share it; it reads few photos at a time.
    """

    def __init__(self, store: StoreReader) -> None:
        self.store = store
        # However many people look: a decoded photo takes a hundred times its file.
        self._readers = ThreadPoolExecutor(READERS, "gallery")
        self._fetched = Shelf()  # pictures from elsewhere

    def info(self, image_id: int) -> ImageInfo:
        """Return what is known of an image; raises `InvalidQueryError` for an unknown id."""
        info = self.store.image_infos([image_id]).get(image_id)
        if info is None:
            raise InvalidQueryError(f"There is no image {image_id} in the store.")
        return info

    def file(self, image_id: int) -> Place:
        """Return the resolved path of an image's file, or its URL; raises `OutsideRootsError`."""
        return self._checked(self.info(image_id).path)

    def picture(self, image_id: int, side_px: int = SCREEN_PX) -> Image.Image:
        """Return the upright pixels within `side_px` × `side_px`; raises `CbirError`."""
        info = self.info(image_id)
        path, size = self._checked(info.path), (info.width, info.height)
        if not is_elsewhere(path):
            return self._readers.submit(fitted, path, side_px, size).result()

        def fetch() -> Image.Image:
            return self._readers.submit(fitted, path, side_px, size).result()

        return self._fetched.get((image_id, side_px), fetch, _picture_bytes)

    def thumbnails(self, infos: Sequence[ImageInfo], side_px: int = THUMBNAIL_PX) -> list[bytes]:
        """Return a thumbnail of each image as a JPEG file; what cannot be shown is a grey plate.

        `side_px` is one of `THUMBNAIL_SIDES`.
        """
        return list(self._readers.map(self._thumbnail_or_plate, infos, repeat(side_px)))

    def thumbnail(self, info: ImageInfo, side_px: int = THUMBNAIL_PX) -> bytes:
        """Return a thumbnail of an image as a JPEG file; raises `CbirError`.

        `side_px` is one of `THUMBNAIL_SIDES`: of each there is one file in the store.
        """
        return self._readers.submit(self._thumbnail, info, side_px).result()

    def _thumbnail_or_plate(self, info: ImageInfo, side_px: int) -> bytes:
        try:
            return self._thumbnail(info, side_px)
        except OutsideRootsError:
            return as_jpeg(plate("outside the indexed folders"))
        except (ImageError, OSError):
            return as_jpeg(plate("missing or unreadable file"))

    def _thumbnail(self, info: ImageInfo, side_px: int = THUMBNAIL_PX) -> bytes:
        path = self._checked(info.path)
        name = f"{state_of(path)}-{side_px}.jpg"
        kept = self.store.derived.read(name, info.id)
        if kept is not None:
            return kept
        made = as_jpeg(fitted(path, side_px, (info.width, info.height)))
        self.store.derived.write(name, made, info.id)  # else it is made again next time
        return made

    def _checked(self, path: Place) -> Place:
        found = resolve_inside(path, self.store.roots().values())
        if found is None:
            raise OutsideRootsError(
                f"{path.name} lies outside the indexed folders (it is a link that leads away), so "
                "it is not shown. Index the folder that it is in."
            )
        return found


def version_of(info: ImageInfo) -> str:
    """Return what tells the picture of an image from any other under its id, also in other stores.

    It is made of what the catalogue knows, so no file is read; empty where that is not enough.
    """
    page = "" if info.page is None else f"-{info.page}"
    return info.content_hash.hex()[:VERSION_DIGITS] + page if info.content_hash else ""


def state_of(path: Place) -> str:
    """Return what changes with the file of an image; raises `InaccessibleImageError`.

    Elsewhere nobody is asked: an image whose file has changed gets another id.
    """
    file = find_page(path)[0]
    if isinstance(file, Remote) or is_elsewhere(file):
        return ELSEWHERE
    try:
        stat = file.stat()
    except OSError as error:
        raise InaccessibleImageError(path.name, "the file is missing") from error
    return f"{stat.st_size:x}-{stat.st_mtime_ns:x}"


def resolve_inside(path: Place, roots: Iterable[Place]) -> Place | None:
    """Return the path of an image, links resolved; None where it lies in none of the folders."""
    file, page = find_page(path)
    if isinstance(file, Remote):
        return path if any(is_below(file, root) for root in roots) else None
    resolved = Path(os.path.realpath(file))
    folders = [os.path.realpath(root) for root in roots if isinstance(root, Path)]
    if not any(resolved.is_relative_to(folder) for folder in folders):
        return None
    return Path(name_page(str(resolved), page))


def _picture_bytes(picture: Image.Image) -> int:
    return 3 * picture.width * picture.height


def thumbnail_inside(path: Path, folder: Path) -> bytes:
    """Return a thumbnail as a JPEG file; what lies outside a folder is a grey plate."""
    found = resolve_inside(path, [folder])
    if found is None:
        return as_jpeg(plate("outside the labelled folder"))
    try:
        return as_jpeg(fitted(found, THUMBNAIL_PX))
    except (ImageError, OSError):
        return as_jpeg(plate("missing or unreadable file"))


def fitted(source: Place | bytes, side_px: int, size: tuple[int, int] = (0, 0)) -> Image.Image:
    """Return the upright RGB pixels of an image file within `side_px` × `side_px`.

    `size` is that of an image of the store, as for `load_accepted`.
    """
    pixels = load_accepted(source, size, at_least=side_px).image
    pixels.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    return pixels


def as_jpeg(picture: Image.Image) -> bytes:
    """Return a picture as a JPEG file, without any metadata."""
    stream = io.BytesIO()
    picture = picture.copy()
    picture.info = {}  # Pillow would write comments along
    picture.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def plate(text: str) -> Image.Image:
    """Return a grey plate that stands for an image that cannot be shown."""
    picture = Image.new("RGB", (THUMBNAIL_PX, THUMBNAIL_PX * 3 // 4), "#d0d0d0")
    ImageDraw.Draw(picture).text((12, 12), text, fill="black")
    return picture
