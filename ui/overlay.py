"""Pictures of a localisation: box, heat map and mask over the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from indexer.arrays import FloatArray
from indexer.features.regions import Region
from retrieval.localize import Localization
from retrieval.segment import Mask
from ui.thumbnails import BOX_COLOUR, PROVED_COLOUR, draw_quad

HEAT_STRENGTH = 0.75
LAYER_PX = 400  # of a heat map that is sent to be laid over a picture
GAP_PX = 8  # between pictures side by side
MATCHES_PX = 400  # height at least of pictures with lines between them
UNPROVED_COLOUR = "#ff9500"
MASK_DIM = 0.3  # brightness of what the mask leaves out


def write_overlays(folder: Path, found: Localization) -> dict[str, Path]:
    """Write the pictures of `draw_overlays` as PNG files, and return these by name."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, picture in draw_overlays(found).items():
        files[name] = folder / f"{name}.png"
        picture.save(files[name])
    return files


def draw_overlays(found: Localization) -> dict[str, Image.Image]:
    """Return the pictures box, heat and mask, overlay with all three, and matches.

    matches joins what was found in the query and again in the image by lines, green where they
    prove the match.
    """
    pictures = {
        "box": draw_place(found.image, found),
        "heat": draw_place(draw_heat(found.image, found.heat), found),
        "mask": Image.fromarray(found.mask.astype(np.uint8) * 255),
    }
    cut = draw_place(draw_mask(found.image, found.mask), found)
    pictures["overlay"] = _side_by_side([pictures["box"], pictures["heat"], cut])
    pictures["matches"] = draw_matches(found)
    return pictures


def draw_place(image: Image.Image, found: Localization) -> Image.Image:
    """Return the image with the proved outline on it, or else the box."""
    if found.quad is None:
        return draw_box(image, found.box)
    marked = image.convert("RGB")
    draw_quad(marked, found.quad, _line_width(image))
    return marked


def draw_matches(found: Localization) -> Image.Image:
    """Return the query beside the image, lines between the keypoints that they share."""
    height = max(found.image.height, MATCHES_PX)
    shares = [height / picture.height for picture in (found.query, found.image)]
    query, image = (
        picture.resize((max(1, round(picture.width * share)), height))
        for picture, share in zip(
            (found.query, draw_place(found.image, found)), shares, strict=True
        )
    )
    sheet = _side_by_side([query, image])
    draw = ImageDraw.Draw(sheet)
    colour = PROVED_COLOUR if found.proof else UNPROVED_COLOUR
    for x, y, there_x, there_y in found.match.points.tolist() if found.match else ():
        here = x * shares[0], y * shares[0]
        there = there_x * shares[1] + query.width + GAP_PX, there_y * shares[1]
        draw.line([here, there], fill="white", width=3)
        draw.line([here, there], fill=colour, width=1)
        for point in (here, there):
            draw.circle(point, 4, fill=colour, outline="white")
    return sheet


def draw_box(image: Image.Image, box: Region) -> Image.Image:
    """Return the image with the box on it."""
    marked = image.convert("RGB")
    draw = ImageDraw.Draw(marked)
    width = _line_width(image)
    corners = (box.x0, box.y0, box.x1 - 1, box.y1 - 1)
    draw.rectangle(corners, outline="white", width=2 * width)
    draw.rectangle(corners, outline=BOX_COLOUR, width=width)
    return marked


def draw_heat(image: Image.Image, heat: FloatArray) -> Image.Image:
    """Return the image with an attribution map (height, width) over it, strongest in yellow."""
    colours, opacity = _colour_heat(Image.fromarray(heat))
    return Image.composite(colours, ImageOps.grayscale(image).convert("RGB"), opacity)


def heat_layer(heat: FloatArray) -> Image.Image:
    """Return an attribution map (height, width) to lay over the image: RGBA, clear where it is 0.

    It is no larger than `LAYER_PX`: it is smooth.
    """
    small = Image.fromarray(heat)
    small.thumbnail((LAYER_PX, LAYER_PX), Image.Resampling.BOX)
    layer, opacity = _colour_heat(small)
    layer.putalpha(opacity)
    return layer


def mask_layer(mask: Mask) -> Image.Image:
    """Return what darkens the image outside a mask (height, width) when laid over it, RGBA."""
    opacity = np.where(mask, 0, round(255 * (1 - MASK_DIM))).astype(np.uint8)
    layer = Image.new("RGBA", (mask.shape[1], mask.shape[0]), "black")
    layer.putalpha(Image.fromarray(opacity))
    return layer


def _colour_heat(heat: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Return the colours of an attribution map, an image of floats, and how opaque they are."""
    values = np.asarray(heat)
    strength = values / max(float(values.max()), 1e-12)
    grey = Image.fromarray((strength * 255).astype(np.uint8))
    colours = ImageOps.colorize(grey, black="#30123b", mid="#e4460a", white="#fcfdbf")
    return colours, Image.fromarray((np.sqrt(strength) * 255 * HEAT_STRENGTH).astype(np.uint8))


def draw_mask(image: Image.Image, mask: Mask) -> Image.Image:
    """Return the image with everything outside the mask darkened."""
    pixels = np.asarray(image.convert("RGB"), np.float32)
    dimmed = np.where(mask[:, :, None], pixels, pixels * MASK_DIM)
    return Image.fromarray(dimmed.astype(np.uint8))


def _line_width(image: Image.Image) -> int:
    return max(2, max(image.size) // 200)


def _side_by_side(pictures: list[Image.Image]) -> Image.Image:
    width = sum(p.width for p in pictures) + GAP_PX * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, max(p.height for p in pictures)), "white")
    x = 0
    for picture in pictures:
        sheet.paste(picture, (x, 0))
        x += picture.width + GAP_PX
    return sheet
