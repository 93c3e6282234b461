"""Camera RAW of several makers: the largest preview is the picture, upright, with its facts."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from indexer.arrays import Pixels
from indexer.errors import UnreadableImageError
from indexer.images.decode import load_image
from tests.sample import SAMPLE

COLOUR: Pixels = load_image(SAMPLE / "images" / "cat-1.jpg").pixels[::2, ::2]
HEIGHT, WIDTH = COLOUR.shape[:2]
SENSOR = bytes(range(256)) * 300  # 240 × 160 values of 16 bits
CAMERA = [(271, 2, b"Maker\0"), (272, 2, b"Model\0"), (306, 2, b"2023:01:02 03:04:05\0")]
REDUCED, IMAGE_WIDTH, IMAGE_HEIGHT, BITS, COMPRESSION, COLOURS = 254, 256, 257, 258, 259, 262
STRIP, ORIENTATION, SAMPLES, ROWS, STRIP_BYTES, SUBS = 273, 274, 277, 278, 279, 330
JPEG_START, JPEG_BYTES = 513, 514
Tag = tuple[int, int, Sequence[int] | bytes]
Write = Callable[[Pixels, list[Tag]], bytes]


class Writer:
    """Writes a TIFF a directory at a time, the last one first, as no library would."""

    def __init__(self, mark: bytes = b"") -> None:
        self.data = bytearray(struct.pack("<2sHI", b"II", 42, 0) + mark.ljust(8, b"\0"))

    def add(self, blob: bytes) -> int:
        self.data += bytes(len(self.data) % 2)
        self.data += blob
        return len(self.data) - len(blob)

    def directory(self, tags: Sequence[Tag], following: int = 0) -> int:
        rows = []
        for tag, kind, value in sorted(tags, key=lambda t: t[0]):
            raw = value if isinstance(value, bytes) else b""
            if not isinstance(value, bytes):
                raw = struct.pack(f"<{len(value)}{'H' if kind == 3 else 'I'}", *value)
            if len(raw) > 4:
                raw = struct.pack("<I", self.add(raw))
            rows.append(struct.pack("<HHI", tag, kind, len(value)) + raw.ljust(4, b"\0"))
        body = struct.pack("<H", len(rows)) + b"".join(rows) + struct.pack("<I", following)
        return self.add(body)

    def finish(self, first: int) -> bytes:
        self.data[4:8] = struct.pack("<I", first)
        return bytes(self.data)

    def picture(
        self, blob: bytes, size: tuple[int, int], compression: int, colours: int, samples: int
    ) -> list[Tag]:
        bits = 16 if samples == 1 else 8
        shorts = [(BITS, [bits] * samples), (COMPRESSION, [compression]), (COLOURS, [colours])]
        longs = [(IMAGE_WIDTH, size[0]), (IMAGE_HEIGHT, size[1]), (STRIP, self.add(blob))]
        longs += [(ROWS, size[1]), (STRIP_BYTES, len(blob)), (SAMPLES, samples)]
        return [*((t, 3, v) for t, v in shorts), *((t, 4, [v]) for t, v in longs)]

    def bare_jpeg(self, blob: bytes) -> list[Tag]:
        start = self.add(blob)
        return [(COMPRESSION, 3, [6]), (JPEG_START, 4, [start]), (JPEG_BYTES, 4, [len(blob)])]

    def sensor(self, compression: int = 1) -> list[Tag]:
        return self.picture(SENSOR, (240, 160), compression, 32803, 1)


def jpeg(pixels: Pixels) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95)
    return out.getvalue()


def thumbnail(shown: Pixels) -> Pixels:
    return np.ascontiguousarray(shown[::8, ::8])


def sony(shown: Pixels, camera: list[Tag]) -> bytes:
    writer = Writer()
    raw = writer.directory(writer.sensor(32767))
    small = writer.directory(writer.bare_jpeg(jpeg(thumbnail(shown))))
    main = [*writer.bare_jpeg(jpeg(shown)), *camera, (SUBS, 4, [raw])]
    return writer.finish(writer.directory(main, small))


def nikon(shown: Pixels, camera: list[Tag]) -> bytes:
    writer = Writer()
    raw = writer.directory(writer.sensor(34713))
    preview = writer.directory(writer.bare_jpeg(jpeg(shown)))
    small = thumbnail(shown)
    main = writer.picture(small.tobytes(), (small.shape[1], small.shape[0]), 1, 2, 3)
    return writer.finish(writer.directory([*main, *camera, (SUBS, 4, [preview, raw])]))


def canon(shown: Pixels, camera: list[Tag]) -> bytes:
    writer = Writer(b"CR\x02")
    raw = writer.directory(
        [(COMPRESSION, 3, [6]), (STRIP, 4, [writer.add(SENSOR)]), (STRIP_BYTES, 4, [len(SENSOR)])]
    )
    small = writer.directory(writer.bare_jpeg(jpeg(thumbnail(shown))), raw)
    main = writer.picture(jpeg(shown), (shown.shape[1], shown.shape[0]), 6, 6, 3)
    bare = [tag for tag in main if tag[0] not in (COLOURS, SAMPLES, ROWS)]
    return writer.finish(writer.directory([*bare, *camera], small))


def pentax(shown: Pixels, camera: list[Tag]) -> bytes:
    writer = Writer()
    preview = writer.directory(writer.bare_jpeg(jpeg(shown)))
    small = writer.directory(writer.bare_jpeg(jpeg(thumbnail(shown))), preview)
    return writer.finish(writer.directory([*writer.sensor(65535), *camera], small))


def digital_negative(shown: Pixels, camera: list[Tag]) -> bytes:
    writer = Writer()
    main = writer.picture(jpeg(shown), (shown.shape[1], shown.shape[0]), 7, 6, 3)
    preview = writer.directory([*main, (REDUCED, 4, [1])])
    return writer.finish(writer.directory([*writer.sensor(), *camera, (SUBS, 4, [preview])]))


@pytest.mark.parametrize("write", [sony, nikon, canon, pentax, digital_negative])
@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (6, 1), (8, 3)])
def test_the_preview_is_the_picture(write: Write, orientation: int, turns: int) -> None:
    stored = np.ascontiguousarray(np.rot90(COLOUR, turns))
    loaded = load_image(write(stored, [*CAMERA, (ORIENTATION, 3, [orientation])]))
    assert loaded.pixels.shape == COLOUR.shape
    assert np.abs(loaded.pixels.astype(int) - COLOUR).mean() < 4
    assert (loaded.facts.width, loaded.facts.height) == (WIDTH, HEIGHT)
    assert loaded.facts.camera == "Maker Model"
    assert loaded.facts.taken_at == dt.datetime(2023, 1, 2, 3, 4, 5)
    assert (loaded.pages, loaded.warnings) == (1, ())


def test_values_of_a_sensor_alone_are_told() -> None:
    writer = Writer()
    data = writer.finish(writer.directory([*writer.sensor(), *CAMERA]))
    with pytest.raises(UnreadableImageError, match="colours are of a kind that is not supported"):
        load_image(data)


def test_a_tiff_of_a_camera_that_is_no_raw() -> None:
    writer = Writer()
    main = writer.picture(COLOUR.tobytes(), (WIDTH, HEIGHT), 1, 2, 3)
    loaded = load_image(writer.finish(writer.directory([*main, *CAMERA])))
    np.testing.assert_array_equal(loaded.pixels, COLOUR)


@pytest.mark.parametrize("is_subsampled", [False, True])
def test_ycbcr_with_fewer_values_of_colour(is_subsampled: bool) -> None:
    """Strips of it are shorter; to read on into the next one would show a scrambled picture."""
    writer = Writer()
    values = np.asarray(Image.fromarray(COLOUR).convert("YCbCr"))
    if is_subsampled:
        pairs = values[:, : WIDTH // 2 * 2].reshape(HEIGHT, -1, 2, 3)
        shared = [pairs[:, :, 0, 0], pairs[:, :, 1, 0], pairs[:, :, 0, 1], pairs[:, :, 0, 2]]
        values = np.stack(shared, axis=2)
    main = writer.picture(values.tobytes(), (WIDTH, HEIGHT), 1, 6, 3)
    subsampling: Tag = (530, 3, [1 + is_subsampled, 1])
    data = writer.finish(writer.directory([*main, subsampling])) + bytes(COLOUR.size)
    if is_subsampled:
        with pytest.raises(UnreadableImageError, match="chroma subsampling not supported"):
            load_image(data)
    else:
        assert np.abs(load_image(data).pixels.astype(int) - COLOUR).mean() < 4
