"""Indexing with the torch engine on a GPU: how fast it is, and what holds it back.

Run: python -m benchmarks.gpu PHOTOS [--small 4096] [--large 512] [--processes 4]
     [--device cuda] [--json]
Two folders are made of the photos: JPEGs of 500 px, and mosaics of 12 megapixels. Each is indexed
once with grid regions; then the same threads do one part of the work alone. Rows, in images a
second:

    index       scan, decode, describe, commit: the pipeline
    index by N  the same in N processes, each with its share of the photos, as with --shard
    decode      reading and decoding alone, with the pipeline's options
    network     the network alone, on decoded images in memory
    describe    the network, with pooling and whitening, which run on the processor
    pool        pooling and whitening alone, on activations in memory

`busy` is the share of the time in which a kernel ran on the GPU, sampled from NVML (package
nvidia-ml-py), whose figures lag by about a second. `in_network` is that between the starts and ends
of forward passes, by CUDA events; it also counts what the GPU waits for meanwhile.

Then come the smallest cosine, by kind of vector, of vectors at half precision to those of the
processor in float32, and the images a second of the network on batches that are on the device
already: as the engine runs it, called plainly, and compiled by torch.compile.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from benchmarks.collections import mosaics, photos_in, reencode
from benchmarks.gpu_network import (
    Row,
    compare_calls,
    compare_precisions,
    engine_of,
    load_pixels,
    make_extractor,
)
from indexer.arrays import Pixels
from indexer.build import Builder
from indexer.features.engines.protocols import Activations
from indexer.features.engines.torch import TorchEngine
from indexer.features.extractor import FeatureExtractor
from indexer.pipeline import PART, SPARE_WORKERS
from indexer.store.store import Store

MISSING_DEVICE = 2  # exit status
WORKERS = (os.cpu_count() or 2) + SPARE_WORKERS
WARM = 128  # photos, so that the network has met the usual shapes
IN_MEMORY = 2048  # images at most that the parts without decoding take
SAMPLE_S = 0.02

T = TypeVar("T")


def main() -> None:
    """Print a row for each folder and part of the work, and those of precision and compiling."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--small", type=int, default=4096, help="photos of 500 px")
    parser.add_argument("--large", type=int, default=512, help="photos of 12 megapixels")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA device here; try it with --device cpu.", file=sys.stderr)
        sys.exit(MISSING_DEVICE)
    photos = photos_in(arguments.photos)
    device = torch.device(arguments.device)
    show = partial(print_row, as_json=arguments.json)
    extractor = make_extractor(device)
    show({"engine": extractor.inference.description, "workers": WORKERS})
    with tempfile.TemporaryDirectory() as scratch:
        small, large = Path(scratch) / "500 px", Path(scratch) / "12 MP"
        in_threads(partial(reencode, long_side=500), photos, arguments.small, small)
        in_threads(mosaics, photos, arguments.large, large)
        for folder in (small, large):
            for row in measure(folder, extractor, arguments.processes):
                show({"photos": folder.name, **row})
    show(compare_precisions(photos, extractor))
    for row in compare_calls(photos, extractor):
        show(row)


def print_row(row: Row, *, as_json: bool) -> None:
    """Print a row at once."""
    print(json.dumps(row) if as_json else "  ".join(f"{k} {v}" for k, v in row.items()), flush=True)


def in_threads(
    make: Callable[[list[Path], int, Path], None], photos: list[Path], count: int, folder: Path
) -> None:
    """Make `count` photos, some in each of several threads and folders below `folder`."""
    threads = min(os.cpu_count() or 1, count)
    with ThreadPoolExecutor(threads) as pool:
        made = []
        for i in range(threads):
            first = i * len(photos) // threads
            turned = photos[first:] + photos[:first]
            share = (i + 1) * count // threads - i * count // threads
            made.append(pool.submit(make, turned, share, folder / str(i)))
        wait_for(made)


# --- the pipeline and its parts ------------------------------------------------------------------


def measure(folder: Path, extractor: FeatureExtractor, processes: int) -> Iterator[Row]:
    """Measure indexing and each part of it on a folder."""
    photos = photos_in(folder)
    index(photos[:WARM], extractor)
    yield {"part": "index", **rate(len(photos), extractor, lambda: index(photos, extractor))}
    with started(processes, photos, extractor) as run:
        yield {"part": f"index by {processes}", **rate(len(photos), extractor, run)}
    decode = partial(load_pixels, extractor)
    yield {
        "part": "decode",
        **rate(len(photos), extractor, lambda: consume(decode, photos)),
    }
    with ThreadPoolExecutor(WORKERS) as threads:
        images = list(threads.map(decode, photos[:IN_MEMORY]))
    inputs = [extractor.resize(image, extractor.spec.size_px) for image in images]
    parts, images_parts = in_parts(inputs), in_parts(images)
    forward = partial(extractor.inference.run, use=lambda *_: None)
    yield {
        "part": "network",
        **rate(len(inputs), extractor, lambda: consume(forward, parts)),
    }
    yield {
        "part": "describe",
        **rate(len(images), extractor, lambda: consume(extractor.extract, images_parts)),
    }
    yield {"part": "pool", **rate(len(images), extractor, pooling(images[0], images, extractor))}


def index(photos: Sequence[Path], extractor: FeatureExtractor) -> None:
    """Index photos into a new store."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.create(Path(scratch) / ".cbir", extractor.spec)
        Builder(store, lambda: extractor).run(list(photos))
        store.close()


_loaded: list[FeatureExtractor] = []
"""The extractor of a process that indexes a share."""


def load(device: str, photos: Sequence[Path]) -> None:
    """Load the extractor of this process, and warm it on photos."""
    _loaded.append(make_extractor(torch.device(device)))
    index(photos, _loaded[0])


def index_share(photos: Sequence[Path]) -> None:
    """Index photos with the extractor of this process."""
    index(photos, _loaded[0])


@contextmanager
def started(
    count: int, photos: Sequence[Path], extractor: FeatureExtractor
) -> Iterator[Callable[[], None]]:
    """Start processes that are loaded and warm; yield what has each index its share of photos."""
    device = engine_of(extractor).device.type
    with ExitStack() as stack:
        processes = [
            stack.enter_context(ProcessPoolExecutor(1, multiprocessing.get_context("spawn")))
            for _ in range(count)
        ]
        wait_for([p.submit(load, device, photos[:WARM]) for p in processes])

        def run() -> None:
            wait_for([p.submit(index_share, photos[i::count]) for i, p in enumerate(processes)])

        yield run


def wait_for(work: Sequence[Future[None]]) -> None:
    """Wait until all of it is done; raises what one of them raises."""
    for one in work:
        one.result()


def pooling(
    image: Pixels, images: Sequence[Pixels], extractor: FeatureExtractor
) -> Callable[[], None]:
    """Return what pools the activations of one image as often as there are images."""
    view = extractor.view(image, extractor.spec.size_px, extractor.spec.layout)
    kept: list[Activations] = extractor.inference.run([view.pixels], lambda _, found: found)

    def pool(_: Pixels) -> None:
        extractor.image_vector("conv", kept[0])
        extractor.image_vector("fc", kept[0])
        extractor.region_vectors(kept[0], view.boxes)

    return lambda: consume(pool, images)


def consume(work: Callable[[T], Any], items: Sequence[T]) -> None:
    """Do the work for each item, in as many threads as the pipeline has; drop what it returns."""
    with ThreadPoolExecutor(WORKERS) as threads:
        for _ in threads.map(work, items):
            pass


def in_parts(items: Sequence[T]) -> list[Sequence[T]]:
    """Return the items in parts of the pipeline's size."""
    return [items[i : i + PART] for i in range(0, len(items), PART)]


def rate(count: int, extractor: FeatureExtractor, run: Callable[[], None]) -> Row:
    """Time a run on `count` images, and how busy the device was meanwhile."""
    engine = engine_of(extractor)
    busy: list[int] = []
    with timing_passes(engine) as passes, sampling(engine.device, busy):
        started = time.perf_counter()
        run()
        elapsed_s = time.perf_counter() - started
    row: Row = {"images_per_s": round(count / elapsed_s, 1)}
    if engine.device.type == "cuda":
        torch.cuda.synchronize()
        row["busy"] = round(float(np.mean(busy)) / 100, 3)
        if passes:
            in_network_s = sum(begin.elapsed_time(end) for begin, end in passes) / 1000
            row["in_network"] = round(in_network_s / elapsed_s, 3)
    return row


@contextmanager
def timing_passes(engine: TorchEngine) -> Iterator[list[tuple[Any, Any]]]:
    """Note a CUDA event before and after each forward pass of the block."""
    passes: list[tuple[Any, Any]] = []
    if engine.device.type != "cuda":
        yield passes
        return
    forward = engine.forward

    def timed(batch: torch.Tensor) -> tuple[torch.Tensor, ...]:
        begin, end = new_event(), new_event()
        begin.record()
        outputs = forward(batch)
        end.record()
        passes.append((begin, end))
        return outputs

    engine.forward = timed  # type: ignore[method-assign]  # for the time of the block
    try:
        yield passes
    finally:
        engine.forward = forward  # type: ignore[method-assign]  # as before


def new_event() -> Any:
    """Return a CUDA event that keeps its time."""
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch has none


@contextmanager
def sampling(device: torch.device, busy: list[int]) -> Iterator[None]:
    """Add to `busy` what NVML says of the device, in per cent, until the block ends."""
    is_over = threading.Event()

    def sample() -> None:
        while not is_over.wait(SAMPLE_S):
            busy.append(torch.cuda.utilization(device))

    if device.type != "cuda":
        yield
        return
    with ThreadPoolExecutor(1) as threads:
        sampler = threads.submit(sample)
        try:
            yield
        finally:
            is_over.set()
            sampler.result()


if __name__ == "__main__":
    main()
