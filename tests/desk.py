"""A store beside a folder of photos, as the tests of building and searching use it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from indexer.build import Builder, BuildOptions, IndexReport
from indexer.features.extractor import FeatureExtractor
from indexer.images import load_image
from indexer.store.store import KINDS, Store
from tests.colour_grid import ColourGridEngine, colour_extractor


@dataclass
class Desk:
    """A store beside a folder of photos, and the fake engine that describes them."""

    photos: Path
    store: Store
    engine: ColourGridEngine = field(default_factory=ColourGridEngine)
    loads: int = 0

    def extractor(self) -> FeatureExtractor:
        self.loads += 1
        return colour_extractor(self.engine)

    def index(self, *places: Path, options: BuildOptions | None = None) -> IndexReport:
        return Builder(self.store, self.extractor, options).run(places or (self.photos,))

    def paths(self) -> list[str]:
        """The good images of the store, as paths under the photos, each as often as it occurs."""
        roots = self.store.roots()
        return sorted(
            (roots[known.file.root_id] / known.file.path).relative_to(self.photos).as_posix()
            for known in self.store.known_files().values()
            if known.reason is None
        )

    def id_of(self, name: str) -> int:
        info = self.store.find_image(self.photos / name)
        assert info is not None, name
        return info.id

    def check_vectors(self) -> None:
        """Every good image has the vectors that its file gives now, and there are no others."""
        extractor = colour_extractor()
        names = self.paths()
        for kind in KINDS:
            index = self.store.vector_index(kind)
            assert len(index) == len(names)
            for name in names:
                loaded = load_image(self.photos / name, at_least=extractor.spec.size_px)
                expected = getattr(extractor.extract([loaded.pixels])[0], kind)
                stored = index.vectors_of(np.array([self.id_of(name)]))[0]
                assert expected @ stored > 0.999, name
