"""Accepted pictures: those of a store and of its queries, read again."""

from __future__ import annotations

from indexer.choices import MAX_PIXELS, Oversize
from indexer.errors import ImageTooLargeError
from indexer.images.decode import LoadedImage, load_image
from indexer.sources.place import Place


def load_accepted(
    source: Place | bytes,
    size: tuple[int, int] = (0, 0),
    *,
    at_least: int | None = None,
    part: tuple[int, int, int, int] | None = None,
) -> LoadedImage:
    """Decode a picture that was accepted before, of `size` (width, height) where that is known.

    One over the usual limit is read at a smaller size. Where its format does not allow that, it was
    accepted under a higher limit, and is decoded if it is no larger than it was. Of a damaged one
    what can be read is taken. `at_least` and `part` are those of `load_image`, and so are errors.
    """

    def load(limit: int, oversize: Oversize) -> LoadedImage:
        return load_image(
            source,
            at_least=at_least,
            part=part,
            max_pixels=limit,
            damaged="take",
            oversize=oversize,
        )

    try:
        return load(MAX_PIXELS, "reduce")
    except ImageTooLargeError:
        if size[0] * size[1] <= MAX_PIXELS:
            raise
    return load(size[0] * size[1], "skip")
