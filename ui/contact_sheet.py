"""Contact sheets: a query and its hits in one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from retrieval.query import Hit, Query
from ui.printable import printable
from ui.render import short_name
from ui.thumbnails import BOX_COLOUR, draw_hit, draw_query

CELL_PX = 240
CAPTION_PX = 40
GAP_PX = 12
MAX_COLUMNS = 6
SHOWN_HITS = 60


def write_contact_sheet(path: Path, query: Query, hits: Sequence[Hit]) -> None:
    """Write the query, framed, followed by its hits in order of rank, boxes drawn on them.

    The picture's format follows the suffix of `path`; at most 60 hits are shown.
    """
    cells = [(draw_query(query, CELL_PX), "query", short_name(query))]
    for hit in hits[:SHOWN_HITS]:
        picture = draw_hit(hit, CELL_PX)
        verdict = f"  {hit.verdict}" if hit.verdict else ""
        cells.append((picture, f"{hit.rank}.  {hit.score:.3f}{verdict}", printable(hit.path.name)))
    path.parent.mkdir(parents=True, exist_ok=True)
    _lay_out(cells).save(path, quality=88)


def _lay_out(cells: Sequence[tuple[Image.Image, str, str]]) -> Image.Image:
    columns = min(MAX_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    step_x, step_y = CELL_PX + GAP_PX, CELL_PX + CAPTION_PX + GAP_PX
    sheet = Image.new("RGB", (columns * step_x + GAP_PX, rows * step_y + GAP_PX), "white")
    draw = ImageDraw.Draw(sheet)
    bold, small = ImageFont.load_default(16), ImageFont.load_default(13)
    for i, (picture, title, name) in enumerate(cells):
        x = GAP_PX + i % columns * step_x
        y = GAP_PX + i // columns * step_y
        left = x + (CELL_PX - picture.width) // 2
        top = y + CELL_PX - picture.height
        sheet.paste(picture, (left, top))
        if i == 0:
            frame = (left - 4, top - 4, left + picture.width + 3, top + picture.height + 3)
            draw.rectangle(frame, outline=BOX_COLOUR, width=3)
        draw.text((x + 2, y + CELL_PX + 4), title, fill="black", font=bold)
        draw.text((x + 2, y + CELL_PX + 23), _fit(name, small), fill="#555555", font=small)
    return sheet


def _fit(name: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Shorten a name in its middle until it fits under its picture."""
    shown = name
    keep = len(name)
    while font.getlength(shown) > CELL_PX and keep > 4:
        keep -= 1
        shown = f"{name[: keep // 2]}…{name[-(keep - keep // 2) :]}"
    return shown
