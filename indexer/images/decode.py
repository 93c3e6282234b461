"""The only entrance to decoding: upright, RGB, bounded in size, memory and time.

JPEG, PNG and WebP are decoded in this process, by decoders that are common, fast and well tested.
All else is decoded in a process of its own, where a crash, a hang or a flood costs one file.
"""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import IO

from indexer.choices import DECODE_S, MAX_PIXELS, Damaged, Oversize, PageChoice
from indexer.images.budget import DECODING, Lease
from indexer.images.decoder_pool import POOL
from indexer.images.formats import LoadedImage, NeedsConfinementError, decode_image
from indexer.images.page_paths import find_page
from indexer.images.request import ImageRequest
from indexer.sources.access import fetch_image, is_elsewhere
from indexer.sources.place import Place, Remote, to_place

__all__ = ["LoadedImage", "load_image"]

HELD_BYTES = 4 << 20  # of one file elsewhere; of a larger one parts are fetched


def load_image(
    source: str | os.PathLike[str] | Remote | bytes | IO[bytes],
    *,
    at_least: int | None = None,
    part: tuple[int, int, int, int] | None = None,
    max_pixels: int = MAX_PIXELS,
    name: str | None = None,
    damaged: Damaged = "skip",
    page: int | PageChoice | None = None,
    oversize: Oversize = "skip",
    lease: Lease | None = None,
    time_limit_s: float = DECODE_S,
) -> LoadedImage:
    """Decode an image upright, in RGB and in the colours of its profile.

    Values of more than 8 bits are scaled by what they hold. Transparency is on white, or on a
    ground on which the drawing shows. Of an animation the first frame that shows something is
    taken. Of several pages it is `page`, from 0 or by what it is; a path may end in `#page=N`, from
    1. Without either it is the first, or the largest where the first is a thumbnail.

    `at_least` allows a JPEG to be decoded at 1/2, 1/4 or 1/8 of its size, as long as the result
    covers at least `at_least`² pixels of area in the original's shape; with `part`, a box (x0, y0,
    x1, y1) of the upright original, as long as that does. `name` stands for the source in errors.

    With `oversize` reduce, a JPEG, JPEG 2000 or TIFF of more than `max_pixels` is read at a smaller
    size, without being decoded at full size first: with at most so many pixels, and with no more
    than `at_least` asks for where that is less. Its facts stay those of the original.

    It waits until the budget of `lease`, or else that of the process, has room for the work. What
    it takes of a `lease` is left there, for the caller to give back. Decoding that takes longer
    than `time_limit_s` is ended; what is decoded in this process takes a few seconds at most.

    Raises `ImageTooLargeError` before decoding where any other has more than `max_pixels`,
    `DamagedImageError` where the file itself says that pixels are damaged, unless `damaged` is
    take, and `UnreadableImageError` for anything that cannot be decoded.
    """
    label = name or (str(source) if isinstance(source, str | os.PathLike | Remote) else "image")
    if isinstance(source, str | os.PathLike | Remote):
        place = source if isinstance(source, str | Remote) else Path(source)
        source, named = find_page(to_place(place))
        page = named if page is None else page
    chosen = "auto" if page is None else page
    with DECODING.lease() as own:  # which holds nothing where another is given
        reserve = (lease or own).reserve
        wanted = ImageRequest(
            at_least, part, max_pixels, label, damaged, oversize, chosen, reserve, is_confined=False
        )
        return _load(source, wanted, time_limit_s)


def _load(
    source: Place | bytes | IO[bytes], wanted: ImageRequest, time_limit_s: float
) -> LoadedImage:
    if isinstance(source, Remote) or (isinstance(source, Path) and is_elsewhere(source)):
        return _load_elsewhere(source, wanted, time_limit_s)
    stream = BytesIO(source) if isinstance(source, bytes) else source
    try:
        return decode_image(stream, wanted)
    except NeedsConfinementError:
        if not isinstance(source, Path | bytes):
            source.seek(0)
            source = source.read()
        return POOL.decode(source, wanted, time_limit_s)


def _load_elsewhere(place: Place, wanted: ImageRequest, time_limit_s: float) -> LoadedImage:
    """Decode what is fetched as a whole, or if it is large, what of it is needed."""
    fetched = fetch_image(place, HELD_BYTES)
    if isinstance(fetched, bytes):
        return _load(fetched, wanted, time_limit_s)
    with fetched:
        try:
            return decode_image(fetched, wanted)
        except NeedsConfinementError:
            return POOL.decode(place, wanted, time_limit_s)
