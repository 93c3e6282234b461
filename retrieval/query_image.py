"""The image of a query: decoded once, with its box in the decoded pixels."""

from __future__ import annotations

from indexer.arrays import Pixels
from indexer.errors import InvalidQueryError
from indexer.features.regions import Region
from indexer.images.accepted import load_accepted
from indexer.images.decode import LoadedImage, load_image
from retrieval.collection import Collection
from retrieval.query import Query


def load_crop(collection: Collection, query: Query, side_px: int) -> Pixels:
    """Return what is asked for: the upright pixels of the query's image, or of its box."""
    pixels, box = load_query(collection, query, side_px)
    return pixels if box is None else crop(pixels, box)


def load_query(
    collection: Collection, query: Query, side_px: int | None = None
) -> tuple[Pixels, Region | None]:
    """Return the upright pixels of a query's image, and its box in them, with the context.

    A photo is decoded at a fraction of its size where the query has enough pixels even so: those of
    a square of `side_px`, or else of the network's input.
    """
    loaded = _load_source(collection, query, side_px or collection.spec.size_px)
    if query.box is None:
        return loaded.pixels, None
    size = (loaded.facts.width, loaded.facts.height)
    query.box.require_inside(*size)
    height, width = loaded.pixels.shape[:2]
    return loaded.pixels, query.box.padded(query.context, *size).scaled(size, (width, height))


def _load_source(collection: Collection, query: Query, side_px: int) -> LoadedImage:
    """Decode a query's image with enough pixels for a square of `side_px`, of its box if any."""
    part = query.box.as_tuple() if query.box else None
    if query.image_id is not None:
        info = collection.info(query.image_id)
        if info is None:
            raise unknown_image(query.image_id)
        return load_accepted(info.path, (info.width, info.height), at_least=side_px, part=part)
    return load_image(
        query.path if query.path is not None else query.data or b"",
        at_least=side_px,
        part=part,
        max_pixels=query.max_pixels,
        name=query.name,
        damaged=query.damaged,
        oversize=query.oversize,
    )


def unknown_image(image_id: int) -> InvalidQueryError:
    """Return the error of a query about an image that is not in the store."""
    return InvalidQueryError(f"There is no image {image_id} in the store.")


def crop(pixels: Pixels, box: Region) -> Pixels:
    """Return the pixels of a box."""
    return pixels[box.y0 : box.y1, box.x0 : box.x1]
