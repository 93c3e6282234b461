"""Thumbnails of images, with the matched box, if any."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from indexer.errors import ImageError
from indexer.features.regions import Region
from indexer.images.accepted import load_accepted
from retrieval.query import Quad, Query

BOX_COLOUR = "#ff3b30"
PROVED_COLOUR = "#00b341"


def draw_thumbnail(
    source: Path | bytes, side_px: int, box: Region | None = None, quad: Quad | None = None
) -> Image.Image:
    """Return the image within `side_px` × `side_px`, with `quad`, or else `box`, drawn on it.

    Both are in pixels of the original.

    An image that cannot be read any more, say because it was deleted, becomes a grey plate.
    """
    try:
        loaded = load_accepted(source, at_least=side_px)
    except ImageError:
        return _plate("missing or unreadable file", side_px)
    thumbnail = loaded.image
    thumbnail.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    if quad is not None:
        x = thumbnail.width / loaded.facts.width
        y = thumbnail.height / loaded.facts.height
        draw_quad(thumbnail, tuple((px * x, py * y) for px, py in quad))
    elif box is not None:
        x = thumbnail.width / loaded.facts.width
        y = thumbnail.height / loaded.facts.height
        corners = (
            round(box.x0 * x),
            round(box.y0 * y),
            max(round(box.x1 * x) - 1, round(box.x0 * x)),
            max(round(box.y1 * y) - 1, round(box.y0 * y)),
        )
        draw = ImageDraw.Draw(thumbnail)
        draw.rectangle(corners, outline="white", width=4)
        draw.rectangle(corners, outline=BOX_COLOUR, width=2)
    return thumbnail


def draw_query(query: Query, side_px: int) -> Image.Image:
    """Return the image of a query with its box, if any, or its text on a plate."""
    if query.text is not None:
        return _plate(query.text, side_px, 18)
    return draw_thumbnail(query.path or query.data or b"", side_px, query.box)


def _plate(text: str, side_px: int, font_px: int = 10) -> Image.Image:
    plate = Image.new("RGB", (side_px, side_px * 3 // 4), "#d0d0d0")
    font = ImageFont.load_default(font_px)
    ImageDraw.Draw(plate).text((12, 12), text, fill="black", font=font)
    return plate


def draw_quad(image: Image.Image, quad: Quad, width: int = 2) -> None:
    """Draw the outline that geometry proved, the query's own upper edge twice as thick."""
    draw = ImageDraw.Draw(image)
    around = [*quad, quad[0]]
    draw.line(around, fill="white", width=2 * width, joint="curve")
    draw.line(around, fill=PROVED_COLOUR, width=width, joint="curve")
    draw.line(around[:2], fill=PROVED_COLOUR, width=2 * width)
