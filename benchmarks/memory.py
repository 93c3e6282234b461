"""Peak memory of `cbir index` against the number of photos: re-encodings of given photos.

Run: python -m benchmarks.memory PHOTOS [--counts 2000 20000] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.collections import photos_in, reencode


def index_peak_mb(folder: Path, store: Path) -> float:
    """Index `folder` in a process of its own and return its peak resident memory in MB."""
    command = [sys.executable, "-m", "ui.cli", "index", str(folder), "--store", str(store)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed with status {status}")
    return usage.ru_maxrss / 1000


def main() -> None:
    """Print the peak for each number of photos, and the ratio of the last to the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--counts", nargs="+", type=int, default=[2000, 20000])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    photos = photos_in(arguments.photos)
    peaks = {}
    for count in arguments.counts:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "photos"
            reencode(photos, count, folder)
            peaks[count] = index_peak_mb(folder, Path(scratch) / "store")
        if not arguments.json:
            print(f"{count:7} photos: peak {peaks[count]:.0f} MB", flush=True)
    ratio = peaks[arguments.counts[-1]] / peaks[arguments.counts[0]]
    if arguments.json:
        print(json.dumps({"peak_mb": peaks, "ratio": round(ratio, 3)}))
    else:
        print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
