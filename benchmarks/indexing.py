"""Indexing speed: `cbir`'s pipeline against what people write, other tools, and the limit.

Run: python -m benchmarks.indexing PHOTOS [--rounds 3] [--sides cbir plain ...] [--json]
Two folders are made of the photos: JPEGs of 500 px, and mosaics of 12 megapixels. Each side runs on
them in a process of its own, in turn, round by round; a rate counts from the moment its model is
loaded and warm. The sides:

    cbir        scan, decode, describe with grid regions, commit
    plain       PIL, torchvision transforms, timm in eager mode, one image at a time, 320 px
    plain-224   the same at 224 px, the half of the pixels
    batches     as plain, in batches of 16
    imagededup  its CNN encoder with the same network and size (pip install imagededup)
    img2vec     img2vec_pytorch with its defaults: ResNet-18, random weights
    decode      decoding alone, as cbir does it
    model       the network alone on the decoded images, in the order of the files
    sorted      the same, but like shapes together, as cbir does it

Two limits are those of decoding and network one after the other: 1 / (1 / decode + 1 / model),
and the same with `sorted`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.collections import mosaics, photos_in, reencode
from indexer.arrays import Pixels
from indexer.build import Builder
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.extractor import FeatureExtractor
from indexer.features.registry import get_backbone
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from indexer.pipeline import PART
from indexer.store.store import Store

NETWORKS = {"limit": "model", "limit-sorted": "sorted"}
SIDES = (
    "cbir",
    "plain",
    "plain-224",
    "batches",
    "imagededup",
    "img2vec",
    "decode",
    *NETWORKS.values(),
)
BATCH = 16
SORTED = 64  # images by shape together
WARM = 128  # photos, so that the network has met the usual shapes
DECODERS = os.cpu_count()
SIZE_PX = 320
SMALL, LARGE = 2560, 256  # photos in the folders
SHARE = {"plain": 10, "plain-224": 8, "batches": 8, "imagededup": 8, "img2vec": 8}
"""Slow sides take one in so many of the photos."""

T = TypeVar("T")
Run = Callable[[Sequence[Path]], Any]


def main() -> None:
    """Print a row for each folder and side."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--small", type=int, default=SMALL, help="photos of 500 px")
    parser.add_argument("--large", type=int, default=LARGE, help="photos of 12 megapixels")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(measure(arguments.side, arguments.photos))
        return
    photos = photos_in(arguments.photos)
    with tempfile.TemporaryDirectory() as scratch:
        small, large = Path(scratch) / "500 px", Path(scratch) / "12 MP"
        reencode(photos, arguments.small, small, long_side=500)
        mosaics(photos, arguments.large, large)
        for folder in (small, large):
            report(folder, arguments.sides, arguments.rounds, as_json=arguments.json)


def report(folder: Path, sides: Sequence[str], rounds: int, *, as_json: bool) -> None:
    """Run the sides on a folder in turn and print their rates and the ratios to cbir's."""
    rates: list[dict[str, float]] = []
    for _ in range(rounds):
        rates.append({side: in_a_process(side, folder) for side in sides})
        for limit, network in NETWORKS.items():
            if {"decode", network} <= rates[-1].keys():
                rates[-1][limit] = 1 / (1 / rates[-1]["decode"] + 1 / rates[-1][network])
    for side in rates[0]:
        row: dict[str, Any] = {
            "photos": folder.name,
            "side": side,
            "images_per_s": round(statistics.median(r[side] for r in rates), 1),
        }
        if "cbir" in rates[0]:
            row["cbir_is_times"] = round(statistics.median(r["cbir"] / r[side] for r in rates), 2)
        print(json.dumps(row) if as_json else "  ".join(f"{k} {v}" for k, v in row.items()))
    sys.stdout.flush()


def in_a_process(side: str, folder: Path) -> float:
    """Return the images per second of a side that is run in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.indexing", str(folder), "--side", side]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, encoding="utf-8", env=os.environ
    )
    return float(done.stdout.split()[-1])


def measure(side: str, folder: Path) -> float:
    """Return the images per second of one side on the photos of a folder."""
    photos = photos_in(folder)[:: SHARE.get(side, 1)]
    with preparing(side)(photos) as (run, warm):
        run(warm)
        started = time.perf_counter()
        run(photos)
        return len(photos) / (time.perf_counter() - started)


def preparing(side: str) -> Callable[[Sequence[Path]], Any]:
    """Return what loads a side: a context of the function to time, and the photos to warm it on."""
    return {
        "cbir": cbir,
        "plain": lambda photos: loop(photos, SIZE_PX, 1),
        "plain-224": lambda photos: loop(photos, 224, 1),
        "batches": lambda photos: loop(photos, SIZE_PX, BATCH),
        "imagededup": imagededup,
        "img2vec": img2vec,
        "decode": decode,
        "model": lambda photos: network(photos, key=None),
        "sorted": lambda photos: network(photos, key=lambda pixels: pixels.shape),
    }[side]


@contextlib.contextmanager
def cbir(photos: Sequence[Path]) -> Iterator[tuple[Run, Sequence[Path]]]:
    """The whole pipeline, from the files to the committed store."""
    spec = FeatureSpec.create()
    extractor = FeatureExtractor(spec)
    with tempfile.TemporaryDirectory() as scratch:
        stores = iter(range(2))

        def run(places: Sequence[Path]) -> None:
            store = Store.create(Path(scratch) / f"store-{next(stores)}", spec)
            Builder(store, lambda: extractor).run(list(places))
            store.close()

        yield run, photos[:WARM]


@contextlib.contextmanager
def loop(photos: Sequence[Path], size_px: int, batch: int) -> Iterator[tuple[Run, Sequence[Path]]]:
    """What people write."""
    import torch
    from PIL import Image

    network, transform = plain_network(), plain_transform(size_px)

    def run(chosen: Sequence[Path]) -> list[Any]:
        vectors = []
        with torch.inference_mode():
            for part in parts(chosen, batch):
                images = [transform(Image.open(path).convert("RGB")) for path in part]
                vectors.append(network(torch.stack(images)).numpy())
        return vectors

    yield run, photos[:batch]


@contextlib.contextmanager
def imagededup(photos: Sequence[Path]) -> Iterator[tuple[Run, Sequence[Path]]]:
    """The encoder of imagededup, on a folder with links to the photos."""
    from imagededup.methods import CNN
    from imagededup.utils import CustomModel

    encoder = CNN(
        verbose=False,
        model_config=CustomModel(
            model=plain_network(), transform=plain_transform(SIZE_PX), name="lite0"
        ),
    )

    def run(chosen: Sequence[Path]) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            for path in chosen:
                (Path(folder) / path.name).symlink_to(path)
            return encoder.encode_images(image_dir=folder)

    yield run, photos[:BATCH]


@contextlib.contextmanager
def img2vec(photos: Sequence[Path]) -> Iterator[tuple[Run, Sequence[Path]]]:
    """img2vec_pytorch with its defaults, in batches; without a network its weights are random."""
    import torch
    import torchvision
    from img2vec_pytorch import Img2Vec
    from PIL import Image

    with tempfile.TemporaryDirectory() as home:
        os.environ["TORCH_HOME"] = home
        url = torchvision.models.ResNet18_Weights.DEFAULT.url
        file = Path(home) / "hub" / "checkpoints" / url.rsplit("/", 1)[-1]
        file.parent.mkdir(parents=True)
        torch.save(torchvision.models.resnet18().state_dict(), file)
        encoder = Img2Vec()

    def run(chosen: Sequence[Path]) -> list[Any]:
        return [
            encoder.get_vec([Image.open(path).convert("RGB") for path in part])
            for part in parts(chosen, BATCH)
        ]

    yield run, photos[:BATCH]


@contextlib.contextmanager
def decode(photos: Sequence[Path]) -> Iterator[tuple[Run, Sequence[Path]]]:
    """The pipeline's decoding, without the rest."""
    needed = FeatureSpec.create().size_px
    with ThreadPoolExecutor(DECODERS) as threads:

        def run(chosen: Sequence[Path]) -> None:
            for _ in threads.map(lambda path: load_image(path, at_least=needed).facts, chosen):
                pass

        yield run, photos[:WARM]


@contextlib.contextmanager
def network(
    photos: Sequence[Path], key: Callable[[Pixels], Any] | None
) -> Iterator[tuple[Run, Sequence[Path]]]:
    """The pipeline's network alone, with the images of a window in order, or sorted by a key."""
    extractor = FeatureExtractor(FeatureSpec.create())
    with ThreadPoolExecutor(DECODERS) as threads:
        prepared = dict(
            zip(
                photos,
                threads.map(
                    lambda path: extractor.resize(
                        load_image(path, at_least=extractor.pixels_needed).pixels, SIZE_PX
                    ),
                    photos,
                ),
                strict=True,
            )
        )

    def forward(images: Sequence[Pixels]) -> None:
        extractor.inference.run(images, lambda *_: None)

    def run(chosen: Sequence[Path]) -> None:
        images = [prepared[path] for path in chosen]
        if key is not None:
            images = [image for part in parts(images, SORTED) for image in sorted(part, key=key)]
        with ThreadPoolExecutor(DECODERS) as threads:
            for _ in threads.map(forward, parts(images, PART)):
                pass

    yield run, photos[:WARM]


def parts(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Return the items in parts of a size, the last one perhaps smaller."""
    return [items[i : i + size] for i in range(0, len(items), size)]


def plain_network() -> Any:
    """Return the default backbone in timm, pooled, without its classifier."""
    import timm
    import torch

    weights = get_backbone(DEFAULT_BACKBONE).find_weights()
    if weights is None:
        raise SystemExit("The weights of the default backbone are not installed.")
    network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    values = torch.load(weights, map_location="cpu", weights_only=True).values()
    network.load_state_dict(dict(zip(network.state_dict(), values, strict=True)))
    network.reset_classifier(0)
    return network.eval()


def plain_transform(size_px: int) -> Any:
    """Return what people put in front of it."""
    from torchvision import transforms

    return transforms.Compose(
        [
            transforms.Resize(size_px, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(size_px),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )


if __name__ == "__main__":
    main()
