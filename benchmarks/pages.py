"""Pages: how often different pages of one kind are taken for the same thing.

Run: python -m benchmarks.pages [--pages 12]
Pages of text, tables, staves and square codes are drawn: alike in kind, of other contents. It
prints for each kind how many pairs of different pages are proved to match, whole and by a part of
one of them; and how many parts are proved to lie in the page that they come from.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from functools import partial
from itertools import permutations

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from indexer.arrays import Pixels
from indexer.features.local import LocalFeatures, find_local_features
from retrieval.geometry import QueryKeypoints

WIDTH, HEIGHT, MARGIN = 600, 800, 30
PART = (0.5, 0.4)  # of a page's width and height
SYLLABLES = ("al", "be", "con", "der", "est", "for", "gra", "hin", "is", "ka", "lum", "men", "no")


def draw_text(seed: int, size: int) -> Pixels:
    """Return a page of words, in letters of this size."""
    draw, page, generator = _blank(seed)
    words = _words()
    font = ImageFont.load_default(size)
    for y in range(MARGIN, HEIGHT - MARGIN - size, round(1.5 * size)):
        line = ""
        while draw.textlength(line, font) < WIDTH - 2 * MARGIN - 3 * size:
            line += generator.choice(words) + " "
        draw.text((MARGIN, y), line, "black", font)
    return np.asarray(page)


def draw_table(seed: int) -> Pixels:
    """Return a page with a ruled table of numbers."""
    draw, page, generator = _blank(seed)
    font = ImageFont.load_default(13)
    for y in range(MARGIN, HEIGHT - MARGIN, 24):
        draw.line((MARGIN, y, WIDTH - MARGIN, y), "black")
        for x in range(MARGIN, WIDTH - MARGIN, 90):
            draw.line((x, MARGIN, x, HEIGHT - MARGIN - 20), "black")
            draw.text((x + 5, y + 4), str(generator.randint(100, 99_999)), "black", font)
    return np.asarray(page)


def draw_staves(seed: int) -> Pixels:
    """Return a page of staves with notes."""
    draw, page, generator = _blank(seed)
    for top in range(60, HEIGHT - 80, 90):
        for y in range(top, top + 40, 8):
            draw.line((MARGIN, y, WIDTH - MARGIN, y), "black")
        for x in range(60, WIDTH - 60, generator.randint(18, 30)):
            y = top + 4 * generator.randint(0, 8)
            draw.ellipse((x, y - 4, x + 10, y + 4), "black")
            draw.line((x + 10, y, x + 10, y - 28), "black")
    return np.asarray(page)


def draw_code(seed: int) -> Pixels:
    """Return a square code: random cells, and the three patterns by which a reader finds it."""
    cells = np.random.default_rng(seed).integers(0, 2, (33, 33))
    for y, x in ((0, 0), (0, 26), (26, 0)):
        cells[y : y + 7, x : x + 7] = 1
        cells[y + 1 : y + 6, x + 1 : x + 6] = 0
        cells[y + 2 : y + 5, x + 2 : x + 5] = 1
    grey = np.pad(np.kron(1 - cells, np.full((12, 12), 255)), 40, constant_values=255)
    return np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)


KINDS: dict[str, Callable[[int], Pixels]] = {
    "text, 20 px": partial(draw_text, size=20),
    "text, 28 px": partial(draw_text, size=28),
    "text, 40 px": partial(draw_text, size=40),
    "tables": draw_table,
    "staves": draw_staves,
    "square codes": draw_code,
}


def cut_part(page: Pixels, seed: int) -> Pixels:
    """Return a part of a page."""
    generator = random.Random(seed)
    height, width = page.shape[:2]
    w, h = int(width * PART[0]), int(height * PART[1])
    x, y = generator.randint(0, width - w), generator.randint(0, height - h)
    return np.ascontiguousarray(page[y : y + h, x : x + w])


def proves(query: LocalFeatures, page: LocalFeatures, *, is_picture: bool) -> bool:
    """Whether a query is proved to lie in a page."""
    match = QueryKeypoints.from_features(query, is_picture=is_picture).find_match(page)
    return match is not None and match.is_proof


def _blank(seed: int) -> tuple[ImageDraw.ImageDraw, Image.Image, random.Random]:
    page = Image.new("RGB", (WIDTH, HEIGHT), "white")
    return ImageDraw.Draw(page), page, random.Random(seed)


def _words() -> list[str]:
    generator = random.Random(0)
    return ["".join(generator.choices(SYLLABLES, k=generator.randint(1, 4))) for _ in range(400)]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=12)
    count = parser.parse_args().pages
    for name, draw in KINDS.items():
        drawn = [draw(seed) for seed in range(count)]
        pages = [find_local_features(page) for page in drawn]
        parts = [find_local_features(cut_part(page, seed)) for seed, page in enumerate(drawn)]
        pairs = list(permutations(range(count), 2))
        whole = sum(proves(pages[a], pages[b], is_picture=True) for a, b in pairs)
        by_part = sum(proves(parts[a], pages[b], is_picture=False) for a, b in pairs)
        own = sum(proves(parts[a], pages[a], is_picture=False) for a in range(count))
        print(
            f"{name}: of {len(pairs)} pairs of different pages {whole} proved, {by_part} by a part "
            f"of one; {own} of {count} parts proved in their own page",
            flush=True,
        )


if __name__ == "__main__":
    main()
