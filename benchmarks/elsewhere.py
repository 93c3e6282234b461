"""Photos elsewhere: how fast they are indexed from S3, beside the same photos from a folder.

Run: python -m benchmarks.elsewhere PHOTOS [--count 600] [--rounds 2]
     [--nanio COMMAND] [--away 60] [--json]
The photos are put on a server of S3 on this machine, in a process of its own, and indexed from a
folder and from there, alternately, with one network that is loaded and warm. The server is moto, or
that of the command `nanio` (`pipx install nanio`), which takes a third of the time and keeps
connections open, as those of a service do. It may be `--away` by so many milliseconds. Printed are
the images a second of each round and their ratio, also as it would be if the server took no time of
this machine; the processor time that an image takes here, and of the server; and whether the stores
are equal, vectors bit for bit.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from botocore.session import get_session

from benchmarks.collections import photos_in
from benchmarks.distance import distant
from indexer.build import Builder
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.sources.place import Place, to_place
from indexer.store.store import Store
from tests import s3

WARM = 32  # photos


def main() -> None:
    """Print a row for each round, and one for all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--nanio", help="the server, instead of moto")
    parser.add_argument("--away", type=float, metavar="MS", help="how far the server is away")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.nanio and shutil.which(arguments.nanio) is None:
        parser.error(f"there is no command {arguments.nanio}; install it with: pipx install nanio")
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(running(arguments.nanio))
        os.environ.update(s3.environment(server.port))
        folder = Path(scratch) / "photos"
        folder.mkdir()
        for photo in photos_in(arguments.photos)[: arguments.count]:
            shutil.copy(photo, folder)
        fill_bucket(folder, "bench", "photos")
        if arguments.away:
            port = stack.enter_context(distant(server.port, arguments.away))
            os.environ.update(s3.environment(port))
        rows = compare(folder, to_place("s3://bench/photos"), server.cpu_s, arguments.rounds)
    for row in rows:
        print(json.dumps(row) if arguments.json else "  ".join(f"{k} {v}" for k, v in row.items()))


@contextmanager
def running(nanio: str | None) -> Iterator[s3.Server]:
    """Run moto, or nanio by its command."""
    with tempfile.TemporaryDirectory() as folder:
        if nanio is None:
            command: Sequence[str] = s3.MOTO
        else:
            os.environ["NANIO_ACCESS_KEY"] = s3.ENVIRONMENT["AWS_ACCESS_KEY_ID"]
            os.environ["NANIO_SECRET_KEY"] = s3.ENVIRONMENT["AWS_SECRET_ACCESS_KEY"]
            where = ("--data-dir", folder, "--host", "127.0.0.1", "--port", "{port}")
            command = (nanio, "serve", *where, "--no-access-log")
        with s3.running_server(command) as server:
            yield server


def fill_bucket(folder: Path, bucket: str, prefix: str) -> None:
    """Put the files of a folder into a new bucket, below `prefix`."""
    client = get_session().create_client("s3")
    client.create_bucket(Bucket=bucket)
    for file in sorted(folder.iterdir()):
        client.put_object(Bucket=bucket, Key=f"{prefix}/{file.name}", Body=file.read_bytes())
    client.close()


def compare(
    local: Path, remote: Place, server_s: Callable[[], float], rounds: int
) -> list[dict[str, Any]]:
    """Return the rates of both places in turn, their ratio, and whether the stores are equal."""
    spec = FeatureSpec.create()
    extractor = FeatureExtractor(spec)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as warm:
        few = Path(warm) / "few"
        few.mkdir()
        for photo in sorted(local.iterdir())[:WARM]:
            shutil.copy(photo, few)
        index(few, extractor)
    is_equal = True
    for number in range(1, rounds + 1):
        started_s = time.process_time()
        here, own = index(local, extractor)
        halfway_s, server_before_s = time.process_time(), server_s()
        there, others = index(remote, extractor)
        is_equal &= own == others
        ended_s, server_cpu_s = time.process_time(), server_s() - server_before_s
        share = server_cpu_s * there / len(own) / len(os.sched_getaffinity(0))
        ms_an_image = 1000 / len(own)
        rows.append(
            {
                "round": number,
                "folder_images_per_s": round(here, 1),
                "s3_images_per_s": round(there, 1),
                "ratio": round(there / here, 3),
                "ratio_without_server": round(there / (1 - share) / here, 3),
                "folder_cpu_ms": round(ms_an_image * (halfway_s - started_s), 1),
                "s3_cpu_ms": round(ms_an_image * (ended_s - halfway_s), 1),
                "server_cpu_ms": round(ms_an_image * server_cpu_s, 1),
            }
        )
    middles = {
        name: round(statistics.median(row[name] for row in rows), 3)
        for name in ("ratio", "ratio_without_server")
    }
    return [*rows, middles | {"images": len(own), "stores_are_equal": is_equal}]


def index(place: Place, extractor: FeatureExtractor) -> tuple[float, dict[str, tuple[bytes, ...]]]:
    """Index a place into a new store; return the images a second, and all vectors by path."""
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.create(Path(scratch) / ".cbir", extractor.spec)
        report = Builder(store, lambda: extractor).run([place])
        indexes = [store.vector_index(kind) for kind in store.spec.kinds]
        found = {
            row.file.path: (
                row.file.content_hash,
                *(rows.rows_of_image(row.id)[1].tobytes() for rows in indexes),
            )
            for row in store.known_files().values()
        }
        store.close()
        return report.images_per_s, found


if __name__ == "__main__":
    main()
