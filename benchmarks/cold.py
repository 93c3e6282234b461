"""A query from a cold start, as a person runs it, and a script in torch on the same vectors.

Run: python -m benchmarks.cold PHOTOS [--images 100000] [--regions grid] [--repeats 5] [--json]
The store is made of random vectors of whole images, clustered as those of photos are, and of
jittered region vectors of the photos; making it takes minutes. All sides are started afresh each
time, in turn, with the first photo of the folder; the files are in the page cache. The script
compares whole images only, whatever `cbir` searches.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.collections import fill, photos_in, region_vectors
from indexer.features.spec import FeatureSpec
from indexer.optimize import update_indexes
from indexer.store.store import Store
from indexer.store.vectors.local_store import LocalVectorStore

SCRIPT = """
import sys
import numpy as np, timm, torch
from PIL import Image
image, weights, vectors = sys.argv[1:]
network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
names = list(network.state_dict())
values = torch.load(weights, map_location="cpu", weights_only=True).values()
network.load_state_dict(dict(zip(names, values)))
picture = Image.open(image).convert("RGB").resize((320, 320), Image.Resampling.BICUBIC)
pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
with torch.inference_mode():
    query = network.forward_features(pixels).amax(dim=(2, 3))[0].numpy()
database = np.load(vectors, mmap_mode="r")
scores = np.concatenate(
    [database[i : i + 65536].astype(np.float32) @ query for i in range(0, len(database), 65536)]
)
print(np.argsort(-scores)[:10])
"""


def run_s(command: list[str]) -> float:
    """Run a command to its end and return the seconds it took."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
    return time.perf_counter() - started


def main() -> None:
    """Print a row for each search: the seconds of both sides, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--regions", choices=["grid", "none"], default="grid")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    image = str(photos_in(arguments.photos)[0])
    with tempfile.TemporaryDirectory() as scratch:
        store = Store.create(Path(scratch) / "store", FeatureSpec.create(regions=arguments.regions))
        regions = None if arguments.regions == "none" else region_vectors(arguments.photos)
        fill(store, arguments.images, regions)
        vectors = Path(scratch) / "vectors.npy"
        assert isinstance(store.vectors, LocalVectorStore)
        np.save(vectors, np.concatenate([s.vectors for s in store.vectors.rows("conv").segments]))
        update_indexes(store)
        query = [sys.executable, "-m", "ui.cli", "query", image]
        query += ["--store", str(store.path), "--json", "--search"]
        script = [sys.executable, "-c", SCRIPT, image, str(_weights()), str(vectors)]
        searches = ["image"] if regions is None else ["image", "region"]
        sides = {search: [*query, search] for search in searches} | {"script": script}
        for command in sides.values():
            run_s(command)
        times = [
            {name: run_s(command) for name, command in sides.items()}
            for _ in range(arguments.repeats)
        ]
    for search in searches:
        row = {
            "images": arguments.images,
            "regions": arguments.regions,
            "search": search,
            "cbir_s": round(statistics.median(t[search] for t in times), 2),
            "torch_script_s": round(statistics.median(t["script"] for t in times), 2),
            "ratio": round(statistics.median(t[search] / t["script"] for t in times), 3),
        }
        print(json.dumps(row) if arguments.json else "  ".join(f"{k} {v}" for k, v in row.items()))


def _weights() -> Path:
    from indexer.features.backbones import DEFAULT_BACKBONE
    from indexer.features.registry import get_backbone

    found = get_backbone(DEFAULT_BACKBONE).find_weights()
    if found is None:
        raise SystemExit("the weights of the default backbone are not installed")
    return found


if __name__ == "__main__":
    main()
