"""Pictures that tests make for themselves."""

from __future__ import annotations

import colorsys
import os
import struct
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms
from skimage import data

from indexer.arrays import Pixels

Colour = tuple[int, int, int]
RED: Colour = (220, 20, 20)
ORANGE: Colour = (220, 110, 20)
GREEN: Colour = (20, 200, 20)
BLUE: Colour = (20, 20, 220)
WHITE: Colour = (255, 255, 255)

# The tests' idea of upright: red, green over blue, white, in a 48 x 32 picture.
QUADRANTS = ((RED, GREEN), (BLUE, WHITE))


def plain(path: Path, colour: Colour, size: tuple[int, int] = (48, 32)) -> Path:
    """Write a picture of one colour but for a speck, so that it shows something.

    The suffix chooses the format.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    coloured(colour, size).save(path)
    return path


def coloured(colour: Colour, size: tuple[int, int] = (48, 32)) -> Image.Image:
    """Return a picture of one colour but for a speck in a corner."""
    image = Image.new("RGB", size, colour)
    red, green, blue = colour
    side = max(1, min(size) // 16)
    corner = (size[0] - side, size[1] - side)
    image.paste((255 - red, 255 - green, 255 - blue), (*corner, *size))
    return image


def shades(count: int) -> list[Colour]:
    """Distinct strong colours: those of a wheel, in turns of brightness."""
    wheel = [
        colorsys.hsv_to_rgb(i / count, 0.6 + 0.4 * (i % 2), 0.5 + (i % 5) / 10)
        for i in range(count)
    ]
    return [(round(r * 255), round(g * 255), round(b * 255)) for r, g, b in wheel]


def quadrants(width: int = 48, height: int = 32) -> Image.Image:
    """Return a picture whose four corners tell which way up it is."""
    image = Image.new("RGB", (width, height))
    for row, colours in enumerate(QUADRANTS):
        for column, colour in enumerate(colours):
            corner = (column * width // 2, row * height // 2)
            image.paste(colour, (*corner, corner[0] + width // 2, corner[1] + height // 2))
    return image


def is_upright(image: Image.Image, tolerance: int = 40) -> bool:
    """Whether the corners of a picture show `QUADRANTS`, give or take what compression does."""
    assert image.mode == "RGB"
    width, height = image.size
    for row, colours in enumerate(QUADRANTS):
        for column, colour in enumerate(colours):
            x, y = width // 4 + column * width // 2, height // 4 + row * height // 2
            seen = np.array(image.getpixel((x, y)), int)
            if np.abs(seen - np.array(colour)).max() > tolerance:
                return False
    return True


def noise(seed: int, width: int, height: int) -> Pixels:
    """Return smooth coloured noise (height, width, 3)."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def profile_of(name: Literal["LAB", "sRGB"]) -> bytes:
    """Return a colour profile."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def swapped_profile() -> bytes:
    """Return a profile like sRGB in which red and blue are exchanged."""
    data = bytearray(profile_of("sRGB"))
    count = struct.unpack(">I", data[128:132])[0]
    entries = {bytes(data[132 + 12 * i : 136 + 12 * i]): 136 + 12 * i for i in range(count)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    data[red : red + 8], data[blue : blue + 8] = data[blue : blue + 8], data[red : red + 8]
    return bytes(data)


def photo(name: str) -> Image.Image:
    """Return a real photograph that ships with scikit-image: chelsea (a cat), coffee, …"""
    pixels: npt.NDArray[np.uint8] = getattr(data, name)()
    return Image.fromarray(pixels).convert("RGB")


PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")


def set_time(path: Path, seconds: int) -> None:
    """Give a file a time stamp of its own, so that no test depends on the clock's grain."""
    os.utime(path, (seconds, seconds))
