"""A query from a cold start, as a person runs it: against a script in torch on the same vectors.

Run: python -m benchmarks.cold IMAGE [--images 100000] [--repeats 5]
The store is made of random vectors, clustered as those of photos are. Both sides are started anew
each time, in turn; the files are in the page cache.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from indexer.features.extractor import ImageFeatures
from indexer.features.pooling import FloatArray
from indexer.features.spec import FeatureSpec
from indexer.features.whitening import unit_rows
from indexer.images import ImageFacts
from indexer.optimize import keep_up
from indexer.store.records import Entry, FileState
from indexer.store.store import Store

PART = 5_000
CENTRES = 500
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


def fill(store: Store, images: int) -> None:
    """Commit images that do not exist, with vectors like those of photos."""
    random = np.random.default_rng(0)
    root = store.add_root(store.path.parent / "photos")
    sizes = {"conv": 1280, "fc": 1000}
    centres = {
        kind: np.maximum(random.normal(size=(CENTRES, d)), 0).astype(np.float32)
        for kind, d in sizes.items()
    }
    nothing: FloatArray = np.empty((0, 4), np.float32)
    facts = ImageFacts(width=640, height=480, format="JPEG", taken_at=None, camera=None)
    with store.writing():
        for start in range(0, images, PART):
            drawn = {
                kind: unit_rows(
                    centre[random.integers(CENTRES, size=PART)]
                    + 0.5 * np.abs(random.normal(size=(PART, centre.shape[1]))).astype(np.float32)
                )
                for kind, centre in centres.items()
            }
            store.commit(
                [
                    Entry(
                        FileState(root, f"{i // 1000}/{i}.jpg", 1, 1, i.to_bytes(32, "big")),
                        facts,
                        ImageFeatures(
                            drawn["conv"][i - start],
                            drawn["fc"][i - start],
                            nothing,
                            nothing,
                            nothing,
                        ),
                    )
                    for i in range(start, start + PART)
                ]
            )


def run_s(command: list[str]) -> float:
    """Run a command to its end and return the seconds it took."""
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ)
    return time.perf_counter() - started


def main() -> None:
    """Print the seconds of both sides and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        spec = FeatureSpec.create(regions="none")
        store = Store.create(Path(scratch) / "store", spec)
        fill(store, arguments.images)
        rows = store.files.rows("conv")
        vectors = Path(scratch) / "vectors.npy"
        np.save(vectors, np.concatenate([s.vectors for s in rows.segments]))
        keep_up(store)
        weights = str(_weights())
        ours = [sys.executable, "-m", "ui.cli", "query", str(arguments.image)]
        ours += ["--store", str(store.path), "--json"]
        theirs = [sys.executable, "-c", SCRIPT, str(arguments.image), weights, str(vectors)]
        run_s(ours), run_s(theirs)
        times = [(run_s(ours), run_s(theirs)) for _ in range(arguments.repeats)]
        cbir_s, torch_s = (statistics.median(column) for column in zip(*times, strict=True))
        print(
            f"{arguments.images:,} images: cbir {cbir_s:.2f} s, torch script {torch_s:.2f} s, "
            f"ratio {cbir_s / torch_s:.2f}"
        )


def _weights() -> Path:
    from indexer.features.backbones import DEFAULT_BACKBONE, get_backbone

    found = get_backbone(DEFAULT_BACKBONE).find_weights()
    if found is None:
        raise SystemExit("the weights of the default backbone are not installed")
    return found


if __name__ == "__main__":
    main()
