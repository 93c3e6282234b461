"""Pictures of a localisation: box, heat map and mask over the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from indexer.arrays import FloatArray
from indexer.features.regions import Region
from retrieval.localize import Localization
from retrieval.segment import Mask
from ui.thumbnails import BOX_COLOUR

HEAT_STRENGTH = 0.75
MASK_DIM = 0.3  # brightness of what the mask leaves out


def write_overlays(folder: Path, found: Localization) -> dict[str, Path]:
    """Write box.png, heat.png and mask.png, and overlay.png with all three; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "box": draw_box(found.image, found.box),
        "heat": draw_box(draw_heat(found.image, found.heat), found.box),
        "mask": Image.fromarray(found.mask.astype(np.uint8) * 255),
    }
    cut = draw_box(draw_mask(found.image, found.mask), found.box)
    pictures["overlay"] = _side_by_side([pictures["box"], pictures["heat"], cut])
    files = {}
    for name, picture in pictures.items():
        files[name] = folder / f"{name}.png"
        picture.save(files[name])
    return files


def draw_box(image: Image.Image, box: Region) -> Image.Image:
    """Return the image with the box on it."""
    marked = image.convert("RGB")
    draw = ImageDraw.Draw(marked)
    width = max(2, max(image.size) // 200)
    corners = (box.x0, box.y0, box.x1 - 1, box.y1 - 1)
    draw.rectangle(corners, outline="white", width=2 * width)
    draw.rectangle(corners, outline=BOX_COLOUR, width=width)
    return marked


def draw_heat(image: Image.Image, heat: FloatArray) -> Image.Image:
    """Return the image with an attribution map (height, width) over it, strongest in yellow."""
    strength = heat / max(float(heat.max()), 1e-12)
    grey = Image.fromarray((strength * 255).astype(np.uint8))
    colours = ImageOps.colorize(grey, black="#30123b", mid="#e4460a", white="#fcfdbf")
    opacity = Image.fromarray((np.sqrt(strength) * 255 * HEAT_STRENGTH).astype(np.uint8))
    return Image.composite(colours, ImageOps.grayscale(image).convert("RGB"), opacity)


def draw_mask(image: Image.Image, mask: Mask) -> Image.Image:
    """Return the image with everything outside the mask darkened."""
    pixels = np.asarray(image.convert("RGB"), np.float32)
    dimmed = np.where(mask[:, :, None], pixels, pixels * MASK_DIM)
    return Image.fromarray(dimmed.astype(np.uint8))


def _side_by_side(pictures: list[Image.Image]) -> Image.Image:
    gap = 8
    width = sum(p.width for p in pictures) + gap * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, max(p.height for p in pictures)), "white")
    x = 0
    for picture in pictures:
        sheet.paste(picture, (x, 0))
        x += picture.width + gap
    return sheet
