"""The map as a page draws it: images in an order in which neighbours lie together, in sheets."""

from __future__ import annotations

import io
from dataclasses import dataclass
from math import ceil

import numpy as np
from PIL import Image

from indexer.arrays import FloatArray, IdArray
from indexer.errors import InvalidQueryError
from indexer.store.statistics import sizes_of_images
from retrieval.collection_map import read_map
from retrieval.kept_map import CollectionMap
from ui.gallery import QUALITY
from ui.map_job import MapJob
from ui.running_jobs import JOBS
from ui.shown import Shown

CELL_PX = 64
CELLS = 16  # in a row of a sheet, and rows
SHEET_IMAGES = CELLS * CELLS
KEPT_PX = 160  # the longer side of the kept thumbnails that sheets are made of
SHADE = "#808080"  # between pictures
POINT_BYTES = 24
_BITS = 16  # of each coordinate, for the order


@dataclass(frozen=True)
class DrawnMap:
    """`image_ids` (N,) with their `points` (N, 2), each axis from 0 to 1, and `shapes` (N,).

    A shape is width / height. Images are in Morton order, so that those of a sheet lie together:
    sheet i shows images i * SHEET_IMAGES and the next, row by row.
    """

    image_ids: IdArray
    points: FloatArray
    shapes: FloatArray

    @property
    def sheets(self) -> int:
        """How many sheets show all images."""
        return ceil(len(self.image_ids) / SHEET_IMAGES)


def current_map(shown: Shown) -> CollectionMap | None:
    """Return the map of the last commit: as it is kept, or as the last job made it."""
    kept = read_map(shown.engine.collection)
    job = JOBS.last("map", MapJob)
    made = job.found if job is not None else None
    return made if kept is None and made and made.commits == shown.store.commits() else kept


def drawn_map(shown: Shown) -> DrawnMap | None:
    """Return the map of the last commit as it is drawn, None where none is laid out."""

    def make() -> DrawnMap | None:
        found = current_map(shown)
        return None if found is None else _draw(shown, found)

    key = shown.as_of_now("drawn map")
    return shown.kept.get(key, make, lambda made: POINT_BYTES * len(made.image_ids) if made else 0)


def _draw(shown: Shown, found: CollectionMap) -> DrawnMap:
    points = found.points - found.points.min(axis=0)
    points /= np.maximum(points.max(axis=0), np.float32(1e-9))
    order = np.argsort(morton(points), kind="stable")
    ids = found.image_ids[order]
    sizes = sizes_of_images(shown.store)
    shapes = [width / height for width, height in (sizes.get(i, (1, 1)) for i in ids.tolist())]
    return DrawnMap(ids, points[order], np.asarray(shapes, np.float32))


def morton(points: FloatArray) -> IdArray:
    """Return the places (N,) of points (N, 2), from 0 to 1, on a Z-order curve (Morton 1966)."""
    cells = (points * (2**_BITS - 1)).astype(np.int64)
    codes = np.zeros(len(points), np.int64)
    for bit in range(_BITS):
        for axis in (0, 1):
            codes |= (cells[:, axis] >> bit & 1) << (2 * bit + axis)
    return codes


def draw_sheet(shown: Shown, drawn: DrawnMap, number: int) -> bytes:
    """Return a sheet as a JPEG file: each picture fits into the upper left of its cell.

    Raises `InvalidQueryError` for a number that the map does not have.
    """
    if not 0 <= number < drawn.sheets:
        raise InvalidQueryError(f"The map has {drawn.sheets} sheets, counted from 0; not {number}.")
    ids = drawn.image_ids[number * SHEET_IMAGES :][:SHEET_IMAGES].tolist()
    infos = shown.store.image_infos(ids)
    there = [image_id for image_id in ids if image_id in infos]
    files = shown.gallery.thumbnails([infos[image_id] for image_id in there], KEPT_PX)
    pictures = dict(zip(there, files, strict=True))
    sheet = Image.new("RGB", (CELLS * CELL_PX, CELLS * CELL_PX), SHADE)
    for place, image_id in enumerate(ids):
        if image_id in pictures:
            row, column = divmod(place, CELLS)
            sheet.paste(_fitted(pictures[image_id]), (column * CELL_PX, row * CELL_PX))
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()


def _fitted(file: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(file))
    picture.draft("RGB", (CELL_PX, CELL_PX))
    picture.thumbnail((CELL_PX, CELL_PX), Image.Resampling.BILINEAR)
    return picture
