"""Memory that decoding takes: near the size of the picture, and no run ends for want of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tests
from indexer.arrays import Pixels
from indexer.images import ground, tones
from indexer.images.deep import to_image
from indexer.images.ground import flatten, is_blank
from indexer.images.tones import Values
from tests.pictures import noise

TREE = Path(tests.__file__).parent.parent
SIDE = 2000


def peak(work: Callable[[], object]) -> int:
    """Return how many bytes NumPy and Python take for some work, besides what was there."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_a_deep_picture_takes_little_more_than_itself(channels: int, dtype: type) -> None:
    values: Values = np.zeros((SIDE, SIDE, channels), dtype)
    values[::2] = np.arange(channels) + 1000
    pixels_of_8_bits = 4 * SIDE * SIDE
    assert peak(lambda: to_image(values)) < values.nbytes + 3 * pixels_of_8_bits


def test_a_blank_picture_takes_little_to_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "AT_ONCE", 1 << 16)
    pixels = np.full((SIDE, SIDE, 3), 77, np.uint8)
    assert peak(lambda: is_blank(pixels)) < pixels.nbytes


def in_one_piece_and_in_many(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], Pixels]
) -> tuple[Pixels, Pixels]:
    whole = work()
    monkeypatch.setattr(ground, "AT_ONCE", 700)
    monkeypatch.setattr(tones, "AT_ONCE", 700)
    return whole, work()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_pieces_are_flattened_as_the_whole(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    image = Image.fromarray(noise(3, 150, 90))
    image.putalpha(Image.fromarray(noise(4, 150, 90)).convert("L"))
    image = image.convert("LA").convert(mode) if mode != "RGBA" else image
    whole, pieces = in_one_piece_and_in_many(monkeypatch, lambda: np.asarray(flatten(image)))
    np.testing.assert_array_equal(whole, pieces)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i2", ">i2", "<f4", ">f4", "<u4"])
@pytest.mark.parametrize("is_valid", [None, False])
def test_pieces_have_the_tones_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, dtype: str, is_valid: bool | None
) -> None:
    values = (noise(5, 300, 280).astype(np.float64) * 90 - 50).astype(dtype)
    valid = None if is_valid is None else np.arange(300)[None] + np.zeros((280, 1)) > 20
    whole, pieces = in_one_piece_and_in_many(monkeypatch, lambda: tones.to_8_bits(values, valid))
    np.testing.assert_array_equal(whole, pieces)
    short = tones.to_8_bits(values[:50], None)  # too few for a table of all tones
    monkeypatch.setattr(tones, "TABLE", 0)
    np.testing.assert_array_equal(tones.to_8_bits(values[:50], None), short)


SCRIPT = """
import json, resource, sys
from pathlib import Path
from indexer.build import index_photos
from indexer.run import BuildOptions
from indexer.store.store import Store
from tests.colour_grid import colour_extractor, colour_spec
folder = Path(sys.argv[1])
index_photos(Store.create(folder / "first", colour_spec()), [folder / "small"], colour_extractor)
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (200 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
store = Store.create(folder / "second", colour_spec())
report = index_photos(store, [folder / "all"], colour_extractor, BuildOptions(workers=1))
print(json.dumps({"added": report.added, "failed": report.failed}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not keep to the limit")
def test_a_picture_for_which_memory_does_not_suffice_is_one_failure(tmp_path: Path) -> None:
    for folder in ("small", "all"):
        (tmp_path / folder).mkdir()
        Image.fromarray(noise(1, 64, 48)).save(tmp_path / folder / "a.png")
        Image.fromarray(noise(2, 64, 48)).save(tmp_path / folder / "z.jpg")
    Image.new("RGB", (7000, 7000)).save(tmp_path / "all" / "large.png", compress_level=1)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path],
        env=os.environ | {"PYTHONPATH": str(TREE)},
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=200,
    )
    report = json.loads(done.stdout)
    assert report["added"] == 2
    [[path, reason]] = report["failed"]
    assert path.endswith("large.png")
    assert "needs more memory than is available" in reason
