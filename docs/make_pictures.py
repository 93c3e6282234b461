"""The pictures of the documents, made from the sample photos.

Run: python docs/make_pictures.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image

from indexer.build import Builder
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.images.decode import load_image
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.localize import localize
from retrieval.query import Query
from ui.overlay import write_overlays

HERE = Path(__file__).parent
PHOTOS = HERE.parent / "data" / "sample" / "images"
WIDTH_PX = 1000
LOCALIZED = {
    "localize-cat": ("cat-1.jpg", "scene-cat-on-bricks.jpg"),
    "localize-cup": ("coffee-1.jpg", "scene-cup-on-gravel.jpg"),
    "localize-coins": ("coins-1.jpg", "scene-coins-on-grass.jpg"),
    "localize-failing": ("astronaut-1.jpg", "scene-portrait-on-wall.jpg"),
}


def main() -> None:
    """Write docs/images/localize-*.jpg."""
    with tempfile.TemporaryDirectory() as scratch:
        spec = FeatureSpec.create()
        extractor = FeatureExtractor(spec)
        store = Store.create(Path(scratch) / "store", spec)
        Builder(store, lambda: extractor).run([PHOTOS])
        engine = SearchEngine(store, extractor=extractor)
        for name, (query, target) in LOCALIZED.items():
            asked = Query(path=PHOTOS / query, search="region")
            found = localize(engine.collection, asked, load_image(PHOTOS / target).image)
            overlay = write_overlays(Path(scratch) / name, found)["overlay"]
            with Image.open(overlay) as picture:
                height = round(picture.height * WIDTH_PX / picture.width)
                small = picture.convert("RGB").resize((WIDTH_PX, height), Image.Resampling.LANCZOS)
            small.save(HERE / "images" / f"{name}.jpg", quality=85)
            print(f"{name}: {query} in {target}, score {found.score:.2f}, box {found.box}")


if __name__ == "__main__":
    main()
