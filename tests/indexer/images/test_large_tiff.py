"""Large TIFFs, read at a smaller size: pyramids, tiles, strips and what is in them."""

from __future__ import annotations

import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from indexer.errors import ImageTooLargeError
from indexer.images.decode import load_image
from tests.oversize import (
    COLOUR,
    GREY,
    HEIGHT,
    LIMIT,
    REMEDY,
    WIDTH,
    check,
    likeness,
    pyramid,
    reduced,
    tiff,
)


def test_a_pyramid_is_read_from_the_copy_that_fits() -> None:
    data = pyramid(COLOUR)
    check(reduced(data))
    marked = pyramid(np.full_like(COLOUR, 240), marks=True)
    for limit, size, tone in (
        (LIMIT, (75, 51), 60),  # the quarter; the half has 150 × 101
        (16_000, (150, 101), 120),
        (60_000, (150, 101), 120),
        (2_000, (38, 26), 60),  # averaged from the quarter
    ):
        loaded = reduced(marked, limit)
        assert (loaded.image.size, loaded.pixels.max()) == (size, tone)
    assert reduced(marked, 60_000, at_least=50).image.size == (75, 51)
    assert reduced(marked, 60_000, at_least=70).image.size == (150, 101)


def test_a_thumbnail_is_not_taken_for_a_copy_that_suffices() -> None:
    check(reduced(pyramid(COLOUR, marks=True, shares=(16,))))


def test_smaller_pages_after_the_first_are_copies_where_they_are_marked_so() -> None:
    quarter = np.asarray(Image.fromarray(COLOUR).resize((75, 51), Image.Resampling.BOX)) // 4
    for kind, darker in ((1, 4), (0, 1)):
        out = BytesIO()
        with tifffile.TiffWriter(out) as writer:
            writer.write(COLOUR, tile=(32, 32))
            writer.write(quarter, subfiletype=kind)
        loaded = reduced(out.getvalue())
        expected = COLOUR.mean() / darker
        assert loaded.pixels.mean() == pytest.approx(expected, abs=3)
        assert (loaded.facts.width, loaded.facts.height) == (WIDTH, HEIGHT)


def test_the_picture_below_a_thumbnail_is_reduced() -> None:
    out = BytesIO()
    with tifffile.TiffWriter(out) as writer:
        writer.write(COLOUR[::10, ::10], subifds=1, subfiletype=1)
        writer.write(COLOUR, tile=(32, 32))
    with pytest.raises(ImageTooLargeError, match=REMEDY):
        load_image(out.getvalue(), max_pixels=LIMIT)
    check(reduced(out.getvalue()))


def test_the_largest_of_several_pages_is_reduced() -> None:
    out = BytesIO()
    with tifffile.TiffWriter(out) as writer:
        writer.write(COLOUR[::10, ::10], subfiletype=1)
        writer.write(COLOUR, tile=(32, 32))
    check(reduced(out.getvalue()))


def test_bits_become_tones() -> None:
    bits = np.tile(np.array([[0, 1], [1, 0]], bool), (100, 150))
    bits[:, :150] = False
    for photometric, left in (("minisblack", 0), ("miniswhite", 255)):
        pixels = reduced(tiff(bits, photometric=photometric)).pixels
        assert pixels[10, 10].tolist() == [left] * 3
        assert 110 <= pixels[10, -10, 0] <= 145


def test_values_without_data_do_not_count() -> None:
    heights = GREY.astype(np.float32) + 100
    heights[:, : WIDTH // 3] = -9999
    heights[50, 250] = np.nan
    tag = (42113, 2, 0, "-9999", True)
    for values in (heights, np.nan_to_num(heights, nan=-9999).astype(np.int16)):
        data = tiff(values, tile=(64, 64), extratags=[tag])
        full, small = load_image(data).pixels, reduced(data)
        assert likeness(small, full) >= 0.98
        assert (small.pixels[5, 5] == full[5, 5]).all()


def test_transparency_is_kept() -> None:
    alpha = np.full_like(GREY, 255)
    alpha[:, :150] = 0
    for kind in ("unassalpha", "assocalpha"):
        colours = COLOUR * (alpha[:, :, None] > 0) if kind == "assocalpha" else COLOUR
        data = tiff(np.dstack([colours, alpha]), extrasamples=[kind], photometric="rgb")
        check(reduced(data), load_image(data).pixels)


@pytest.mark.parametrize("layout", [{"tile": (512, 512)}, {"rowsperstrip": 64}])
def test_memory_stays_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: dict[str, Any]
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as the command does
    side = 12_000
    path = tmp_path / "large.tif"
    tile = np.tile(np.arange(256, dtype=np.uint8), (512, 2))
    rows = np.tile(tile, (1, -(-side // 512)))[:, :side]
    values = np.tile(rows, (-(-side // 512), 1))[:side]
    tifffile.imwrite(path, values, compression="zlib", **layout)
    del values
    tracemalloc.start()
    loaded = load_image(path, max_pixels=1_000_000, oversize="reduce")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert loaded.image.size == (1000, 1000)
    assert loaded.pixels.mean() == pytest.approx(127, abs=1)
    assert peak < side**2 / 3
