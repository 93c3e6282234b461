"""Planted copies: photos among which some are there again, changed in ten ways."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

QUALITY = 90
Random = np.random.Generator


@dataclass(frozen=True)
class Planted:
    """A copy, named by the file, of a photo; `host` is the photo that it was pasted into."""

    kind: str
    photo: str
    copy: str
    host: str | None = None


def _crop(picture: Image.Image, share: float, random: Random) -> Image.Image:
    """Cut out a share of the area, anywhere."""
    width, height = (round(side * math.sqrt(share)) for side in picture.size)
    x = int(random.integers(picture.width - width + 1))
    y = int(random.integers(picture.height - height + 1))
    return picture.crop((x, y, x + width, y + height))


Make = Callable[[Image.Image, Random], Image.Image]
WHOLE: dict[str, Make] = {
    "quality 40": lambda picture, _: picture,
    "half size": lambda picture, _: picture.reduce(2),
    "grey": lambda picture, _: picture.convert("L"),
    "30 % brighter": lambda picture, _: ImageEnhance.Brightness(picture).enhance(1.3),
    "mirrored": lambda picture, _: ImageOps.mirror(picture),
    "quarter turn": lambda picture, _: picture.transpose(Image.Transpose.ROTATE_90),
}
PARTS: dict[str, Make] = {
    "cropped by 25 %": lambda picture, random: _crop(picture, 0.75, random),
    "cropped to 25 %": lambda picture, random: _crop(picture, 0.25, random),
}
BYTES, PASTED = "same bytes", "pasted at a third"
KINDS = (BYTES, *WHOLE, *PARTS, PASTED)
PART_KINDS = (*PARTS, PASTED)


def plant(photos: list[Path], folder: Path, each: int, random: Random) -> list[Planted]:
    """Copy photos into a folder, and `each` of them again in each way; return what was planted.

    No photo is there three times. Copies are pasted into photos of which there are none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hosts = photos[len(KINDS) * each :]
    names = {photo: f"{place:05d}{photo.suffix.lower()}" for place, photo in enumerate(photos)}
    for photo, name in names.items():
        shutil.copy(photo, folder / name)
    planted = []
    for place, photo in enumerate(photos[: len(KINDS) * each]):
        kind, name = KINDS[place // each], names[photo]
        copy = f"{Path(name).stem}-copy.jpg"
        host = None
        with Image.open(photo) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGB")
        if kind == BYTES:
            copy = f"{Path(name).stem}-copy{photo.suffix.lower()}"
            shutil.copy(photo, folder / copy)
        elif kind == PASTED:
            host = hosts[place % len(hosts)]
            _paste(picture, host, random).save(folder / copy, quality=QUALITY)
        else:
            made = {**WHOLE, **PARTS}[kind](picture, random)
            made.save(folder / copy, quality=40 if kind == "quality 40" else QUALITY)
        planted.append(Planted(kind, name, copy, names[host] if host else None))
    return planted


def _paste(picture: Image.Image, host: Path, random: Random) -> Image.Image:
    """Return another photo with a picture pasted into it, at a third of its size."""
    with Image.open(host) as opened:
        ground = ImageOps.exif_transpose(opened).convert("RGB")
    share = min(ground.width / picture.width, ground.height / picture.height) / 3
    size = (max(1, round(picture.width * share)), max(1, round(picture.height * share)))
    small = picture.resize(size, Image.Resampling.LANCZOS)
    x = int(random.integers(ground.width - small.width + 1))
    y = int(random.integers(ground.height - small.height + 1))
    ground.paste(small, (x, y))
    return ground
