"""How well a network trained from scratch classifies, on PASCAL VOC's own lists.

Run: python -m benchmarks.scratch FOLDER [--architectures vgg16 efficientnet_lite0] [--seeds 3]
     [--epochs 120] [--side 160] [--device cuda] [--json FILE] [--scores FOLDER]
FOLDER holds PASCAL VOC in its own layout. It trains on `train`, and prints the mean average
precision on `val`, by the finite sum, with its 95 % interval, and by VOC's 11 points. Images enter
as squares.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from indexer.arrays import FloatArray, Pixels
from retrieval.evaluation.judging import interval, judge
from retrieval.evaluation.labelled import LabelledImages
from retrieval.evaluation.scratch import Architecture, Schedule, train_from_scratch
from retrieval.evaluation.voc import read_voc

MARGIN = 1.15  # of the images kept, over the network's input: crops are cut from them


def load_squares(images: LabelledImages, side_px: int) -> Pixels:
    """Return all images (N, side, side, 3), squeezed to squares.

    Pillow reads them: a machine with a GPU needs torch, timm and Pillow for this, and no more.
    """

    def load(path: Path) -> Pixels:
        with Image.open(path) as image:
            image.draft("RGB", (side_px, side_px))
            return np.asarray(image.convert("RGB").resize((side_px, side_px)))

    with ThreadPoolExecutor() as threads:
        return np.stack(list(threads.map(load, images.paths)))


def figures_of(scores: FloatArray, images: LabelledImages) -> dict[str, float]:
    """Return the mean over the classes of both average precisions on the test part, in per cent."""
    rows = np.flatnonzero(~images.is_train)
    judged = judge(scores, images, rows, "mAP")
    low, high = interval([judged.resampled])
    points = judged.eleven_points or 0.0
    figures = {"mAP": judged.figure, "low": low, "high": high, "mAP_11_points": points}
    return {name: round(value, 2) for name, value in figures.items()}


def main() -> None:
    """Print a row for each architecture and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--architectures", nargs="+", default=["vgg16", "efficientnet_lite0"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=Schedule.epochs)
    parser.add_argument("--side", type=int, default=Schedule.side_px)
    parser.add_argument("--rate", type=float, default=Schedule.learning_rate)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="append each row to this file")
    parser.add_argument("--scores", type=Path, help="keep the scores of all images here")
    arguments = parser.parse_args()
    images = read_voc(arguments.folder)
    pixels = load_squares(images, round(MARGIN * arguments.side))
    schedule = Schedule(
        epochs=arguments.epochs, side_px=arguments.side, learning_rate=arguments.rate
    )
    print(f"{images.name}: {images.is_train.sum()} and {(~images.is_train).sum()} images")
    for seed in range(arguments.seeds):
        for name in arguments.architectures:
            row = _run(images, pixels, name, schedule, seed, arguments)
            print(row, flush=True)
            if arguments.json:
                with arguments.json.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


def _run(
    images: LabelledImages,
    pixels: Pixels,
    name: Architecture,
    schedule: Schedule,
    seed: int,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    found = train_from_scratch(
        pixels,
        images.labels,
        images.is_train,
        name,
        schedule,
        seed=seed,
        device=arguments.device,
    )
    if arguments.scores:
        arguments.scores.mkdir(parents=True, exist_ok=True)
        kept = found.scores.astype(np.float16)
        np.save(arguments.scores / f"{name}-{schedule.epochs}-{seed}.npy", kept)
    return {
        "architecture": name,
        "epochs": schedule.epochs,
        "side_px": schedule.side_px,
        "learning_rate": schedule.learning_rate,
        "seed": seed,
        **figures_of(found.scores, images),
        "elapsed_s": round(found.elapsed_s, 1),
        "device": found.device,
    }


if __name__ == "__main__":
    main()
