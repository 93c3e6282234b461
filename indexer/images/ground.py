"""Ground: drawings on transparency, laid on a ground on which they show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageSequence

from indexer.arrays import FloatArray, Pixels

GROUNDS = (255, 0, 128)  # white, unless most of the drawing would vanish on it
ALIKE = 32  # of 255: tones this near to the ground do not show on it
CONTENT = 8.0  # deviation of the brightness of a picture that shows something
NOISE = 16  # of 255: that of JPEG and of scanners on an even area stays below
BLEMISHES = 1e-4  # share of pixels that may differ more: a hot pixel, not a drawn line
AT_ONCE = 1 << 22  # pixels in copies: most pictures are one piece
FRAMES = 100  # of an animation that are looked at


def flatten(image: Image.Image) -> Image.Image:
    """Return an image with transparency in RGB, on white, or else on black or grey.

    Another ground than white is taken where more than half of the drawing would not show on it.
    """
    ground = (_ground_of(image),) * 3
    flat = Image.new("RGB", image.size)
    for box in strips(image.size):
        rgba = image.crop(box).convert("RGBA")
        canvas = Image.new("RGBA", rgba.size, ground)
        flat.paste(Image.alpha_composite(canvas, rgba).convert("RGB"), box)
    return flat


def strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """Yield boxes (x0, y0, x1, y1) of a few rows each, in order, that cover an image.

    Copies of them take little memory.
    """
    width, height = size
    rows = max(1, AT_ONCE // max(1, width))
    for top in range(0, height, rows):
        yield 0, top, width, min(top + rows, height)


def _ground_of(image: Image.Image) -> int:
    drawn = 0
    lost = np.zeros(len(GROUNDS))
    for box in strips(image.size):
        rgba = image.crop(box).convert("RGBA")
        alpha = np.asarray(rgba.getchannel("A"))
        tones = np.asarray(rgba.convert("RGB").convert("L"), np.int16)
        drawn += int(alpha.sum(dtype=np.int64))
        for place, ground in enumerate(GROUNDS):
            lost[place] += alpha[abs(tones - ground) <= ALIKE].sum(dtype=np.int64)
    return GROUNDS[0] if lost[0] <= drawn / 2 else GROUNDS[int(np.argmin(lost))]


def seek_content(image: Image.Image) -> None:
    """Move an animation to the first frame that shows something.

    That is one with at least half of the contrast of the frame that has most; the first one where
    it shows something itself.
    """
    contrasts: list[float] = []
    for number, frame in enumerate(ImageSequence.Iterator(image)):
        contrasts.append(contrast(np.asarray(_plain(frame).convert("L"), np.float32)))
        if number == 0 and contrasts[0] >= CONTENT:
            break
        if len(contrasts) == FRAMES:
            break
    best = max(contrasts)
    image.seek(next(i for i, c in enumerate(contrasts) if c >= best / 2))


def is_blank(pixels: Pixels) -> bool:
    """Whether an image (H, W, 3) shows nothing: one even colour, but for noise.

    All but one in ten thousand of its values lie within `NOISE` of the median of their channel. A
    few pixels tell most images at once, and a sample most others.
    """
    sample = pixels[:: max(1, len(pixels) // 32), :: max(1, pixels.shape[1] // 32)]
    few = sample[::8, ::8].astype(np.int16)
    if np.ptp(few, axis=(0, 1)).max() > 2 * NOISE:  # not all can be that near to one tone
        return False
    return _is_even(sample, 1.0) and _is_even(pixels, 1 - BLEMISHES)


def _is_even(pixels: Pixels, share: float) -> bool:
    values = pixels.reshape(-1, pixels.shape[2])
    pieces = [values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE)]
    medians = np.array([_median([piece[:, c] for piece in pieces]) for c in range(values.shape[1])])
    even = 0
    for piece in pieces:
        spread = abs(piece.astype(np.int16) - medians.astype(np.int16)).max(axis=1)
        even += int(np.count_nonzero(spread <= NOISE))
    return even / len(values) >= share


def _median(pieces: Sequence[npt.NDArray[np.uint8]]) -> int:
    """Return the median of all values, the lower whole number between two."""
    counts = sum((np.bincount(piece, minlength=256) for piece in pieces), np.zeros(256, np.int64))
    count = int(counts.sum())
    low, high = np.searchsorted(np.cumsum(counts), [(count - 1) // 2, count // 2], side="right")
    return (int(low) + int(high)) // 2


def contrast(tones: FloatArray) -> float:
    """Return the standard deviation of the brightness (H, W) of a picture, of 255."""
    return float(tones.std())


def _plain(frame: Image.Image) -> Image.Image:
    return flatten(frame) if frame.has_transparency_data else frame
