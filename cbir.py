"""The library's front door: index photos, search them, locate a query in an image.

    from pathlib import Path
    from cbir import Query, SearchEngine, index_photos

    index_photos([Path("photos")], Path("photos/.cbir"))
    engine = SearchEngine.open("photos/.cbir")
    for hit in engine.search(Query(path=Path("cat.jpg"), k=5)):
        print(hit.rank, hit.score, hit.path)

Everything here is loaded on first use, so that importing `cbir` costs nothing.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what `__getattr__` gives, for type checkers and editors
    from collections.abc import Callable, Sequence

    from indexer.errors import CbirError
    from indexer.features.regions import Region
    from indexer.features.spec import FeatureSpec
    from indexer.progress import Progress
    from indexer.run import BuildOptions, IndexingStopped, IndexReport
    from retrieval.engine import SearchEngine
    from retrieval.localize import Localization
    from retrieval.query import Hit, Query
    from retrieval.relevance_feedback import RelevanceFeedback
    from ui.client import Client

__all__ = [
    "BuildOptions",
    "CbirError",
    "Client",
    "FeatureSpec",
    "Hit",
    "IndexReport",
    "IndexingStopped",
    "Localization",
    "Progress",
    "Query",
    "Region",
    "RelevanceFeedback",
    "SearchEngine",
    "index_photos",
    "localize",
]

_HOMES = {
    "BuildOptions": "indexer.run",
    "CbirError": "indexer.errors",
    "Client": "ui.client",
    "FeatureSpec": "indexer.features.spec",
    "Hit": "retrieval.query",
    "IndexReport": "indexer.run",
    "IndexingStopped": "indexer.run",
    "Localization": "retrieval.localize",
    "Progress": "indexer.progress",
    "Query": "retrieval.query",
    "Region": "indexer.features.regions",
    "RelevanceFeedback": "retrieval.relevance_feedback",
    "SearchEngine": "retrieval.engine",
}
# The wheel has everything below the package `cbir`, see `build_commands.py`.
_ABOVE = f"{__spec__.parent}." if __spec__.parent else ""


def index_photos(
    photos: Sequence[Path | str],
    store: Path | str,
    *,
    spec: FeatureSpec | None = None,
    catalog: str | None = None,
    vectors: str | None = None,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> IndexReport:
    """Bring the store at `store`, which is created if there is none, up to date with `photos`.

    `photos` are folders, searched recursively, image files, archives, or URLs of buckets and web
    servers; without any, all that the store knows is brought up to date. `spec` says how a new
    store describes them, `FeatureSpec.create()` unless given; an existing store keeps its own.
    `catalog` is the URL of a PostgreSQL database for the catalogue of a new store, and `vectors`
    that of a Milvus server for its vectors; both are files in the store unless given. `progress` is
    told how far the work is, and `stop` is asked now and then whether it should end.

    Raises `NoImagesError` for a place without images, `SpecMismatchError` for another spec than the
    store's, `StoreLockedError` while another process writes to it, and `IndexingStopped`.
    """
    from indexer.build import index_photos as index
    from indexer.features.extractor import FeatureExtractor
    from indexer.features.spec import FeatureSpec
    from indexer.progress import no_progress
    from indexer.sources.place import to_place
    from indexer.store.catalogs import require_same
    from indexer.store.places import catalog_file
    from indexer.store.store import Store

    path = Path(store)
    exists = catalog_file(path).is_file()
    if exists:
        require_same(path, catalog, vectors)
        opened = Store.open(path)
    else:
        opened = Store.create(
            path, spec or FeatureSpec.create(), catalog_url=catalog, vectors_url=vectors
        )
    if spec is not None:
        opened.spec.require_same(spec, where=str(path))

    def load_extractor() -> FeatureExtractor:
        return FeatureExtractor(opened.spec, adaptation=opened.adaptation())

    try:
        places = [to_place(photo if isinstance(photo, str) else Path(photo)) for photo in photos]
        return index(opened, places, load_extractor, options, progress or no_progress, stop)
    finally:
        if exists:
            opened.close()
        else:
            opened.close_or_discard()


def localize(engine: SearchEngine, query: Query, image: Path | str) -> Localization:
    """Find the query in an image file: its box, score, heat map and mask.

    Raises `ImageError` for an image that cannot be read, and `StoreError` where the engine's store
    describes no regions.
    """
    from indexer.images.decode import load_image
    from retrieval.localize import localize as locate

    return locate(engine.collection, query, load_image(image).image)


def main() -> None:
    """Run the command line, `cbir`."""
    from ui.cli import main as run

    run()


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_ABOVE + _HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
