"""Thumbnails of images, with the matched box, if any."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from indexer.errors import ImageError
from indexer.features.regions import Region
from indexer.images.accepted import load_accepted
from indexer.sources.place import Place
from retrieval.query import Hit, Quad, Query

BOX_COLOUR = "#ff3b30"
PROVED_COLOUR = "#00b341"


def draw_thumbnail(
    source: Place | bytes,
    side_px: int,
    box: Region | None = None,
    quads: Sequence[Quad] = (),
    *,
    colour: str = BOX_COLOUR,
) -> Image.Image:
    """Return the image within `side_px` × `side_px`, with `quads`, or else `box`, drawn on it.

    All are in pixels of the original; `colour` is that of the box, which is clipped to the image.

    An image that cannot be read any more, say because it was deleted, becomes a grey plate.
    """
    try:
        loaded = load_accepted(source, at_least=side_px)
    except ImageError:
        return _plate("missing or unreadable file", side_px)
    thumbnail = loaded.image
    thumbnail.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    x = thumbnail.width / loaded.facts.width
    y = thumbnail.height / loaded.facts.height
    for quad in quads:
        draw_quad(thumbnail, tuple((px * x, py * y) for px, py in quad))
    if box is not None and not quads:
        left = min(round(box.x0 * x), thumbnail.width - 1)
        top = min(round(box.y0 * y), thumbnail.height - 1)
        corners = (
            left,
            top,
            max(min(round(box.x1 * x), thumbnail.width) - 1, left),
            max(min(round(box.y1 * y), thumbnail.height) - 1, top),
        )
        draw = ImageDraw.Draw(thumbnail)
        draw.rectangle(corners, outline="white", width=4)
        draw.rectangle(corners, outline=colour, width=2)
    return thumbnail


def as_data_url(picture: Image.Image) -> str:
    """Return a picture as a JPEG in a URL, for pages that hold all they show."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def draw_hit(hit: Hit, side_px: int) -> Image.Image:
    """Return the image of a hit with what was found on it."""
    return draw_thumbnail(hit.path, side_px, hit.region, [hit.quad] if hit.quad else ())


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
