"""Ground: drawings on transparency, laid on a ground on which they show."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageSequence

from indexer.arrays import FloatArray, Pixels

GROUNDS = (255, 0, 128)  # white, unless most of the drawing would vanish on it
ALIKE = 32  # of 255: tones this near to the ground do not show on it
CONTENT = 8.0  # deviation of the brightness of a picture that shows something
NOISE = 16  # of 255: that of JPEG and of scanners on an even area stays below
BLEMISHES = 1e-4  # share of pixels that may differ more: a hot pixel, not a drawn line
FRAMES = 100  # of an animation that are looked at


def flatten(image: Image.Image) -> Image.Image:
    """Return an image with transparency in RGB, on white, or else on black or grey.

    Another ground than white is taken where more than half of the drawing would not show on it.
    """
    rgba = image.convert("RGBA")
    canvas = Image.new("RGBA", rgba.size, (_ground_of(rgba),) * 3)
    return Image.alpha_composite(canvas, rgba).convert("RGB")


def _ground_of(rgba: Image.Image) -> int:
    pixels = np.asarray(rgba)
    alpha = pixels[:, :, 3].astype(np.float32)
    drawn = float(alpha.sum())
    if drawn == 0:
        return GROUNDS[0]
    tones = np.asarray(rgba.convert("RGB").convert("L"), np.float32)
    lost = [float(alpha[abs(tones - ground) <= ALIKE].sum()) / drawn for ground in GROUNDS]
    return GROUNDS[0] if lost[0] <= 0.5 else GROUNDS[int(np.argmin(lost))]


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
    sample tells most images at once.
    """
    sample = pixels[:: max(1, len(pixels) // 32), :: max(1, pixels.shape[1] // 32)]
    return _is_even(sample, 1.0) and _is_even(pixels, 1 - BLEMISHES)


def _is_even(pixels: Pixels, share: float) -> bool:
    values = pixels.reshape(-1, pixels.shape[2]).astype(np.int16)
    spread = abs(values - np.median(values, axis=0).astype(np.int16)).max(axis=1)
    return bool(np.mean(spread <= NOISE) >= share)


def contrast(tones: FloatArray) -> float:
    """Return the standard deviation of the brightness (H, W) of a picture, of 255."""
    return float(tones.std())


def _plain(frame: Image.Image) -> Image.Image:
    return flatten(frame) if frame.has_transparency_data else frame
