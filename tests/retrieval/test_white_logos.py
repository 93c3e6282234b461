"""White drawings on transparency, which would all be alike on white."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw, ImageFont

from indexer.build import Builder
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.sources.place import as_path
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.query import Query

SIDE = 320
MARGIN = 0.05
WHITE = (255, 255, 255, 255)
Draw = Callable[[ImageDraw.ImageDraw], None]


def word(text: str) -> Draw:
    font = ImageFont.load_default(size=110)
    return lambda d: d.text((160, 160), text, fill=WHITE, font=font, anchor="mm")


def star(points: int, outer: float, inner: float) -> Draw:
    corners = []
    for i in range(2 * points):
        angle, radius = math.pi * i / points - math.pi / 2, inner if i % 2 else outer
        corners.append((160 + radius * math.cos(angle), 160 + radius * math.sin(angle)))
    return lambda d: d.polygon(corners, fill=WHITE)


def bars(d: ImageDraw.ImageDraw) -> None:
    for i in range(4):
        d.rectangle((40 + 60 * i, 280 - 60 * i, 80 + 60 * i, 290), fill=WHITE)


def no_sign(d: ImageDraw.ImageDraw) -> None:
    d.ellipse((30, 30, 290, 290), outline=WHITE, width=25)
    d.line((70, 70, 250, 250), fill=WHITE, width=25)


def cross(d: ImageDraw.ImageDraw) -> None:
    d.line((40, 160, 280, 160), fill=WHITE, width=40)
    d.line((160, 40, 160, 280), fill=WHITE, width=40)


def arcs(d: ImageDraw.ImageDraw) -> None:
    for i in range(4):
        box = (40 + 30 * i, 40 + 30 * i, 280 - 30 * i, 280 - 30 * i)
        d.arc(box, 180, 360, fill=WHITE, width=14)


def dots(d: ImageDraw.ImageDraw) -> None:
    for i in range(9):
        x, y = 50 + 80 * (i % 3), 50 + 80 * (i // 3)
        d.ellipse((x, y, x + 50, y + 50), fill=WHITE)


def house(d: ImageDraw.ImageDraw) -> None:
    d.polygon([(40, 200), (160, 60), (280, 200), (220, 280), (100, 280)], fill=WHITE)


def waves(d: ImageDraw.ImageDraw) -> None:
    for i in range(6):
        d.line((40, 60 + 40 * i, 280, 40 + 40 * i), fill=WHITE, width=12)


LOGOS: list[Draw] = [
    *(word(text) for text in ("ACME", "Foto", "NOVA", "kiwi", "Zeta", "ORB")),
    *(star(points, 140, 140) for points in (2, 3)),
    *(star(points, 140, 60) for points in (3, 5, 12)),
    lambda d: d.ellipse((30, 30, 290, 290), outline=WHITE, width=30),
    lambda d: d.ellipse((30, 30, 290, 290), fill=WHITE),
    *(bars, no_sign, cross, arcs, dots, house, waves),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, _own_folders: None) -> SearchEngine:
    folder = tmp_path_factory.mktemp("logos")
    for number, draw in enumerate(LOGOS):
        image = Image.new("RGBA", (SIDE, SIDE), (255, 255, 255, 0))
        draw(ImageDraw.Draw(image))
        image.save(folder / f"{number:02}.png")
    Image.new("RGB", (SIDE, SIDE), "white").save(folder / "empty.png")
    store = Store.create(folder / ".cbir", FeatureSpec.create(regions="none"))
    extractor = FeatureExtractor(store.spec)
    report = Builder(store, lambda: extractor).run([folder])
    assert (report.added, len(report.warnings)) == (len(LOGOS) + 1, 1)
    return SearchEngine(store, extractor=extractor)


@pytest.mark.parametrize("number", range(len(LOGOS)))
def test_each_is_first_for_itself_by_a_margin(engine: SearchEngine, number: int) -> None:
    [root] = engine.store.roots().values()
    own = as_path(root) / f"{number:02}.png"
    first, second = engine.search(Query(path=own, k=2))
    assert first.path == own
    assert first.score - second.score >= MARGIN
