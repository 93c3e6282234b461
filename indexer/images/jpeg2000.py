"""JPEG 2000: what the boxes before its pixels say of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image

from indexer.images.tones import Values, map_rows

HEAD = 4 << 20  # bytes of a file in which its header is: a colour profile may be long
SHORT_HEAD = 4096  # in which it is otherwise
CODESTREAM = b"\xff\x4f\xff\x51"
SIZES = 40  # where the number of components is, after the beginning of the codestream
ENUMERATED, RESTRICTED, ANY = 1, 2, 3  # how colours are described: by a number, or a profile
CMYK, INKS = 12, 4  # that number, and the values of a pixel
OPACITY = (1, 2)  # kinds of a channel: opacity, and opacity that colours were multiplied by
UNKNOWN_BITS = 8


@dataclass(frozen=True)
class Jpeg2000Header:
    """The bits of the first component, how many `components` there are, and their colours.

    `kinds` are those of the channels, by their places among the components; none where the file
    does not say. Colours are by a `number` or a `profile`, or neither.
    """

    bits: int = UNKNOWN_BITS
    components: int = 0
    number: int | None = None
    profile: bytes | None = None
    kinds: tuple[tuple[int, int, int], ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether Pillow reads the values as they are meant."""
        has_order = all(place + 1 == colour for place, kind, colour in self.kinds if kind == 0)
        return self.bits == UNKNOWN_BITS and has_order and not self.unused

    @property
    def unused(self) -> tuple[int, ...]:
        """The channels that are neither colour nor opacity."""
        return tuple(place for place, kind, _ in self.kinds if kind not in (0, *OPACITY))


def read_header(file: IO[bytes]) -> Jpeg2000Header:
    """Return the header of an open JPEG 2000, which is left where it was."""
    place = file.tell()
    file.seek(0)
    data = file.read(SHORT_HEAD)
    if CODESTREAM not in data:
        data += file.read(HEAD)
    file.seek(place)
    start = data.find(CODESTREAM)
    bits, components = UNKNOWN_BITS, 0
    if 0 <= start <= len(data) - SIZES - 3:
        components, depth = struct.unpack_from(">HB", data, start + SIZES)
        bits = (depth & 0x7F) + 1
    number, profile = None, None
    kinds: tuple[tuple[int, int, int], ...] = ()
    for kind, body in _boxes(data[: max(0, start)]):
        if kind == b"colr" and number is None and profile is None and len(body) >= 7:
            if body[0] == ENUMERATED:
                number = int.from_bytes(body[3:7], "big")
            elif body[0] in (RESTRICTED, ANY):
                profile = body[3:]
        if kind == b"cdef":
            found = struct.iter_unpack(">3H", body[2 : 2 + (len(body) - 2) // 6 * 6])
            kinds = tuple(sorted((place, what, colour) for place, what, colour in found))
    return Jpeg2000Header(bits, components, number, profile, kinds)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the name and the contents of each box; those in the header box are on their own."""
    start = 0
    while start + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, start)
        if kind == b"jp2h":
            yield from _boxes(data[start + 8 : start + length])
        elif length < 8:
            return
        else:
            yield kind, data[start + 8 : start + length]
        start += max(8, length)


def decode_values(data: bytes, header: Jpeg2000Header) -> Values | Image.Image:
    """Return the values (H, W, C) of a JPEG 2000 in RGB or grey, or a picture in CMYK.

    The colours are those of its profile, as the decoder has them, and the last channel may be the
    opacity; channels that are neither are left out.
    """
    import imagecodecs

    values = np.asarray(imagecodecs.jpeg2k_decode(data))
    is_cmyk = header.number == CMYK and values.ndim == 3 and values.shape[2] >= INKS
    if header.bits < UNKNOWN_BITS or is_cmyk:
        scale = 255 / (2**header.bits - 1)
        values = map_rows(values, lambda part: np.rint(np.clip(part * scale, 0, 255)))
    if is_cmyk:
        inks = [np.ascontiguousarray(values[:, :, place]) for place in range(INKS)]
        return Image.merge("CMYK", [Image.fromarray(ink) for ink in inks])
    if values.ndim == 3 and header.unused:
        kept = [place for place in range(values.shape[2]) if place not in header.unused]
        values = np.ascontiguousarray(values[:, :, kept])
    return values
