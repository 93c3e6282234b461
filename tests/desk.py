"""A store beside a folder of photos, as the tests of building and searching use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from sqlalchemy import select

from indexer.build import Builder
from indexer.features.extractor import FeatureExtractor, ImageFeatures
from indexer.features.regions import Region
from indexer.images.decode import load_image
from indexer.run import BuildOptions, IndexReport
from indexer.sources.place import Place, path_below
from indexer.store.catalog.tables import RegionRow
from indexer.store.store import Store
from tests.colour_grid import ColourGridEngine, colour_extractor, region_spec
from tests.pictures import noise

if TYPE_CHECKING:  # the tests of the indexer work without the package retrieval
    from retrieval.engine import SearchEngine


@dataclass
class Desk:
    """A store beside a folder of photos, and the fake engine that describes them."""

    photos: Path
    store: Store
    engine: ColourGridEngine = field(default_factory=ColourGridEngine)
    loads: int = 0

    def extractor(self) -> FeatureExtractor:
        self.loads += 1
        return colour_extractor(self.engine, self.store.spec, self.store.adaptation())

    def search(self) -> SearchEngine:
        from retrieval.engine import SearchEngine

        return SearchEngine(self.store, extractor=self.extractor())

    def index(self, *places: Place, options: BuildOptions | None = None) -> IndexReport:
        return Builder(self.store, self.extractor, options).run(places or (self.photos,))

    def update(self) -> IndexReport:
        """Bring all that the store knows up to date."""
        return Builder(self.store, self.extractor).run()

    def paths(self) -> list[str]:
        """The good images of the store, as paths under the photos, each as often as it occurs."""
        roots = self.store.roots()
        return sorted(
            path_below(self.photos, roots[known.file.root_id] / known.file.path)
            for known in self.store.known_files().values()
            if known.reason is None
        )

    def id_of(self, name: str) -> int:
        info = self.store.find_image(self.photos / name)
        assert info is not None, name
        return info.id

    def check_vectors(self) -> None:
        """Every good image has the vectors that its file gives now, and there are no others."""
        spec = self.store.spec
        extractor = colour_extractor(spec=spec, adaptation=self.store.adaptation())
        indexes = {kind: self.store.vector_index(kind) for kind in spec.kinds}
        counts = dict.fromkeys(indexes, 0)
        for name in self.paths():
            loaded = load_image(self.photos / name, at_least=extractor.pixels_needed)
            [features] = extractor.extract([loaded.pixels])
            assert isinstance(features, ImageFeatures)
            image_id = self.id_of(name)
            for kind, index in indexes.items():
                ids, stored = index.rows_of_image(image_id)
                wanted = [image_id] if kind.scope == "image" else [*self.regions_of(name)]
                assert ids.tolist() == wanted, (name, kind)
                cosines = (features.vectors[kind.name] * stored).sum(axis=1)
                assert cosines.min() > 0.999, (name, kind)
                counts[kind] += len(ids)
        assert {kind: len(index) for kind, index in indexes.items()} == counts

    def regions_of(self, name: str) -> dict[int, Region]:
        """The boxes of an image by region id, in order of id."""
        wanted = select(RegionRow.id).where(RegionRow.image_id == self.id_of(name))
        with self.store.catalog.session() as session:
            ids = sorted(session.scalars(wanted))
        found = self.store.regions(ids)
        return {region_id: found[region_id] for region_id in ids}


def noisy_desk(folder: Path, scheme: str = "grid", count: int = 8) -> Desk:
    """Return a desk of indexed noise: eight pictures are enough to learn a whitening from."""
    (folder / "photos").mkdir()
    desk = Desk(folder / "photos", Store.create(folder / ".cbir", region_spec(scheme)))
    for seed in range(count):
        Image.fromarray(noise(seed, 80, 80)).save(desk.photos / f"{seed}.png")
    desk.index()
    return desk
