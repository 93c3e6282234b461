"""Make data/sample from pictures in the scikit-image wheel: groups of views, and pasted scenes.

Run: python data/make_sample.py. Every view is made the same way each time. Beside the pictures it
writes manifest.json: which belong together, and where in a scene each subject stands.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageEnhance, ImageOps

FOLDER = Path(__file__).parent / "sample"
SIDE_PX = 480

# name: (function of skimage.data, what it shows, who made it, licence)
SOURCES = {
    "cat": ("cat", "Chelsea the cat", "Stefan van der Walt", "CC0"),
    "astronaut": ("astronaut", "Eileen Collins", "NASA", "public domain"),
    "coffee": ("coffee", "a cup of coffee", "Rachel Michetti, Pikolo Espresso Bar", "CC0"),
    "rocket": ("rocket", "launch of DSCOVR on a Falcon 9", "SpaceX", "public domain"),
    "photographer": ("camera", "a photographer", "Lav Varshney", "CC0"),
    "coins": ("coins", "coins from Pompeii", "Brooklyn Museum", "no known restrictions"),
    "galaxies": ("hubble_deep_field", "Hubble eXtreme Deep Field", "NASA", "public domain"),
    "retina": ("retina", "a human retina", "Mikael Häggström", "CC0"),
    "tissue": ("immunohistochemistry", "stained colon tissue", "CMMI", "no known restrictions"),
    "clock": ("clock", "a wall clock in motion", "Stefan van der Walt", "public domain"),
    "bricks": ("brick", "a brick wall", "CC0Textures", "CC0"),
    "grass": ("grass", "grass", "linolafett, DeviantArt", "CC0"),
    "gravel": ("gravel", "gravel", "CC0Textures", "CC0"),
}

# scene: (background, [(subject, crop of it as shares of its size, place and width as shares)])
WHOLE = (0.0, 0.0, 1.0, 1.0)
FACE = (0.26, 0.0, 0.62, 0.42)
CUP = (0.2, 0.08, 0.82, 0.92)
HEAD = (0.15, 0.05, 0.75, 0.85)
SCENES = {
    "scene-cat-on-bricks": ("bricks", [("cat", HEAD, (0.55, 0.5, 0.34))]),
    "scene-cat-on-grass": ("grass", [("cat", HEAD, (0.08, 0.12, 0.42))]),
    "scene-cup-on-gravel": ("gravel", [("coffee", CUP, (0.5, 0.1, 0.4))]),
    "scene-cup-on-bricks": ("bricks", [("coffee", CUP, (0.06, 0.55, 0.36))]),
    "scene-portrait-on-wall": ("bricks", [("astronaut", FACE, (0.3, 0.2, 0.3))]),
    "scene-portrait-in-space": ("galaxies", [("astronaut", FACE, (0.62, 0.5, 0.3))]),
    "scene-rocket-poster": ("gravel", [("rocket", WHOLE, (0.1, 0.2, 0.5))]),
    "scene-clock-on-wall": ("bricks", [("clock", WHOLE, (0.4, 0.12, 0.45))]),
    "scene-cat-and-cup": (
        "grass",
        [("cat", HEAD, (0.05, 0.5, 0.4)), ("coffee", CUP, (0.55, 0.08, 0.38))],
    ),
    "scene-coins-on-grass": ("grass", [("coins", WHOLE, (0.4, 0.45, 0.5))]),
}


def load(name: str) -> Image.Image:
    """Return a source picture in RGB, at most `SIDE_PX` on a side."""
    pixels: np.ndarray = getattr(skimage.data, SOURCES[name][0])()
    image = Image.fromarray(pixels).convert("RGB")
    image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    return image


def views(image: Image.Image) -> list[Image.Image]:
    """Return the picture and four other views of it."""
    w, h = image.size
    turned = image.rotate(9, Image.Resampling.BICUBIC)
    small = image.resize((w * 2 // 3, h * 2 // 3), Image.Resampling.LANCZOS)
    return [
        image,
        image.crop((round(0.12 * w), round(0.1 * h), round(0.82 * w), round(0.85 * h))),
        ImageOps.mirror(image),
        turned.crop((round(0.1 * w), round(0.1 * h), round(0.9 * w), round(0.9 * h))),
        ImageEnhance.Color(ImageEnhance.Brightness(small).enhance(0.7)).enhance(0.5),
    ]


def paste_scene(name: str) -> tuple[Image.Image, dict[str, list[int]]]:
    """Return a scene, and the box of each subject in it."""
    background, parts = SCENES[name]
    scene = load(background).resize((SIDE_PX, round(SIDE_PX * 0.75)), Image.Resampling.LANCZOS)
    boxes = {}
    for subject, (left, top, right, bottom), (x, y, width) in parts:
        image = load(subject)
        w, h = image.size
        image = image.crop((round(left * w), round(top * h), round(right * w), round(bottom * h)))
        side = round(width * scene.width)
        image = image.resize((side, round(side * image.height / image.width)))
        x0, y0 = round(x * scene.width), round(y * scene.height)
        y0 = min(y0, scene.height - image.height)
        scene.paste(image, (x0, y0))
        boxes[subject] = [x0, y0, x0 + image.width, y0 + image.height]
    return scene, boxes


def write_sources() -> None:
    """Write where every picture comes from."""
    lines = [
        "# Sample pictures",
        "",
        "All pictures are made by `data/make_sample.py` from those that the scikit-image wheel",
        "ships; the licences are the ones its documentation states. Files named after a source",
        "are views of it (crop, mirror, rotation, small and faded); `scene-…` are pasted from two",
        "or three of them.",
        "",
        "| files | shows | by | licence | in scikit-image |",
        "|---|---|---|---|---|",
    ]
    for name, (function, shows, author, licence) in SOURCES.items():
        row = (f"`{name}-1…5.jpg`", shows, author, licence, f"`skimage.data.{function}`")
        lines.append(f"| {' | '.join(row)} |")
    (FOLDER / "SOURCES.md").write_text("\n".join(lines) + "\n", "utf-8")


def main() -> None:
    """Write the pictures, the manifest and the sources."""
    images = FOLDER / "images"
    images.mkdir(parents=True, exist_ok=True)
    groups: dict[str, list[str]] = {name: [] for name in SOURCES}
    boxes: dict[str, dict[str, list[int]]] = {}
    for name in SOURCES:
        for number, view in enumerate(views(load(name)), 1):
            groups[name].append(f"{name}-{number}.jpg")
            view.save(images / f"{name}-{number}.jpg", quality=80 if number < 5 else 40)
    for name in SCENES:
        scene, boxes[f"{name}.jpg"] = paste_scene(name)
        scene.save(images / f"{name}.jpg", quality=82)
    manifest = {"images": "images", "groups": groups, "scenes": boxes}
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    write_sources()


if __name__ == "__main__":
    main()
