"""The service: its throughput against the engine alone, and its answers while images come and go.

Run: python -m benchmarks.service PHOTOS [--images 100000] [--clients 2 16] [--seconds 10] [--json]
     python -m benchmarks.service PHOTOS --mixed 120 [--clients 16] [--json]
The first serves a store of `--images` synthetic images, and asks with the photos in turn: threads
ask an engine in this process, then as many clients ask `cbir serve` on this machine, by turns. The
clients take their share of the same processors, `client_cpu_ms` for a query; the ratio is also told
as it would be without. The second serves the photos themselves: clients
ask for photos that stay, each of which has to come first, while another puts and removes images. A
fault is an error, another first hit, an image that was put and is not found, or one that was
removed and is.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.collections import fill, photos_in, reencode
from indexer.build import index_photos
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.optimize import update_indexes
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.query import Query
from ui.client import Client
from ui.process import configure_images

TOKEN = "only for this benchmark"
ROUNDS = 3  # of engine and service by turns
ASKED = 64  # photos that are asked with
STAYING = 60  # photos of the mixed run that stay
STARTED_S = 60.0

Ask = Callable[[Query], object]


@contextmanager
def serving(store: Path, *options: str) -> Iterator[str]:
    """Run `cbir serve` on a store; yields its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "ui.cli", "serve", "--store", str(store), "--port", str(port)]
    process = subprocess.Popen(
        [*command, *options],
        env=os.environ | {"CBIR_TOKEN": TOKEN},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + STARTED_S
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def measure(ask: Sequence[Ask], queries: Sequence[Query], seconds: float) -> list[float]:
    """Ask in as many threads as there are askers, and return the seconds of each search."""
    times: list[float] = []
    ends = time.monotonic() + seconds

    def work(place: int) -> None:
        number = place
        while time.monotonic() < ends:
            started = time.perf_counter()
            ask[place](queries[number % len(queries)])
            times.append(time.perf_counter() - started)
            number += len(ask)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(ask))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def throughput(photos: list[Path], images: int, clients: int, seconds: float) -> dict[str, Any]:
    """Return searches a second and their times, of the engine alone and of the service."""
    queries = [Query(data=path.read_bytes()) for path in photos[:ASKED]]
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        store = Store.create(Path(scratch) / ".cbir", FeatureSpec.create(regions="none"))
        fill(store, images)
        update_indexes(store)
        store.close()
        engine = SearchEngine.open(store.path)
        url = stack.enter_context(serving(store.path))
        asking = [stack.enter_context(Client(url, TOKEN)) for _ in range(clients)]
        sides: dict[str, list[Ask]] = {
            "engine": [engine.search] * clients,
            "service": [client.search for client in asking],
        }
        for side in sides.values():
            measure(side, queries, 1.0)
        found: dict[str, list[float]] = {name: [] for name in sides}
        cpu_s = dict.fromkeys(sides, 0.0)  # of this process
        for _ in range(ROUNDS):
            for name, side in sides.items():
                started_s = time.process_time()
                found[name] += measure(side, queries, seconds)
                cpu_s[name] += time.process_time() - started_s
    row: dict[str, Any] = {"images": images, "clients": clients}
    for name, times in found.items():
        rate = len(times) / (ROUNDS * seconds)
        row[f"{name}_per_s"] = round(rate, 1)
        row[f"{name}_p50_s"] = round(statistics.median(times), 4)
        row[f"{name}_p95_s"] = round(float(np.quantile(times, 0.95)), 4)
    ratio = len(found["service"]) / len(found["engine"])
    clients_share = cpu_s["service"] / (ROUNDS * seconds * len(os.sched_getaffinity(0)))
    row["engine_cpu_ms"] = round(1000 * cpu_s["engine"] / len(found["engine"]), 1)
    row["client_cpu_ms"] = round(1000 * cpu_s["service"] / len(found["service"]), 1)
    row["ratio"] = round(ratio, 3)
    row["ratio_without_clients"] = round(ratio / (1 - clients_share), 3)
    return row


class Mixed:
    """Clients that ask for what stays, and one that puts and removes; what went wrong, in words."""

    def __init__(self, url: str, staying: list[Path], coming: list[Path]) -> None:
        self.url = url
        self.staying = staying
        self.coming = coming
        self.faults: list[str] = []
        self.searches = 0
        self.changes = 0
        self.slowest_s = 0.0

    def run(self, clients: int, seconds: float) -> None:
        """Ask and change for so long."""
        ends = time.monotonic() + seconds
        works = [self.ask] * clients + [self.change]
        threads = [
            threading.Thread(target=self._try, args=(work, place, ends))
            for place, work in enumerate(works)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _try(self, work: Callable[[Client, int], None], place: int, ends: float) -> None:
        with Client(self.url, TOKEN) as client:
            while time.monotonic() < ends:
                try:
                    work(client, place)
                except Exception as error:  # noqa: BLE001  # a benchmark counts every fault
                    self.faults.append(f"{type(error).__name__}: {error}")
                place += 7

    def ask(self, client: Client, place: int) -> None:
        """Ask for a photo that stays: it has to come first."""
        photo = self.staying[place % len(self.staying)]
        started = time.perf_counter()
        [first, *_] = client.search(Query(path=photo))
        self.slowest_s = max(self.slowest_s, time.perf_counter() - started)
        self.searches += 1
        if first.path.name != photo.name:
            self.faults.append(f"{photo.name}: {first.path.name} came first")

    def change(self, client: Client, place: int) -> None:
        """Put an image, find it, remove it, and find it no more."""
        data = turned(self.coming[place % len(self.coming)], place)
        image_id = client.put(f"image {place}", data)
        found = [hit.image_id for hit in client.search(Query(data=data))]
        if image_id not in found[:1]:
            self.faults.append(f"image {place} was put as {image_id}, and is not found")
        client.remove(f"image {place}")
        if image_id in [hit.image_id for hit in client.search(Query(data=data))]:
            self.faults.append(f"image {place} was removed, and is found")
        self.changes += 2


def turned(photo: Path, number: int) -> bytes:
    """Return a photo turned by some degrees, as a JPEG file: another one for each number."""
    with Image.open(photo) as image:
        copy = image.convert("RGB").rotate(10 + number % 340)
    out = io.BytesIO()
    copy.save(out, "JPEG")
    return out.getvalue()


def mixed(photos: list[Path], clients: int, seconds: float) -> dict[str, Any]:
    """Return what clients saw of a store that another one changes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        reencode(photos, STAYING, folder)
        spec = FeatureSpec.create()
        store = Store.create(Path(scratch) / ".cbir", spec)
        index_photos(store, [folder], lambda: FeatureExtractor(spec))
        store.close()
        with serving(store.path, "--uploads", str(Path(scratch) / "uploads")) as url:
            run = Mixed(url, sorted(folder.iterdir()), photos)
            run.run(clients, seconds)
    return {
        "clients": clients,
        "seconds": round(seconds),
        "searches": run.searches,
        "changes": run.changes,
        "slowest_s": round(run.slowest_s, 2),
        "faults": len(run.faults),
        "first_faults": run.faults[:5],
    }


def main() -> None:
    """Print a row for each number of clients; the status is 1 where there were faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--clients", type=int, nargs="+", default=[2, 16])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--mixed", type=float, help="seconds of the second run, instead")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    configure_images()
    photos = photos_in(arguments.photos)
    faults = 0
    for clients in arguments.clients:
        if arguments.mixed:
            row = mixed(photos, clients, arguments.mixed)
            faults += row["faults"]
        else:
            row = throughput(photos, arguments.images, clients, arguments.seconds)
        text = "  ".join(f"{key} {value}" for key, value in row.items())
        print(json.dumps(row) if arguments.json else text, flush=True)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
