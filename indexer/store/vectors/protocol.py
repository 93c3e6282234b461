"""VectorStore and VectorIndex: what a store asks of its vectors, wherever they are kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from indexer.arrays import FloatArray, HalfArray, IdArray
from indexer.choices import IndexType
from indexer.image_set import ImageSet
from indexer.progress import Progress, no_progress
from indexer.store.catalog.protocol import CatalogState, IvfEntry
from indexer.store.vectors.faults import KindFaults, WantedRows
from indexer.store.vectors.image_matches import ImageMatches, Matches

if TYPE_CHECKING:  # reading needs no SQLAlchemy, which takes long to import
    from indexer.store.catalog.transaction import CatalogTransaction

Begin = Callable[[], AbstractContextManager["CatalogTransaction"]]
"""Opens a transaction of the catalogue."""
ImageRows = tuple[IdArray, HalfArray]
"""The ids (R,) and the vectors (R, D) of one image."""


@dataclass(frozen=True)
class KindReport:
    """How the vectors of one kind are searched; `recall` is None for an exact search."""

    kind: str
    rows: int
    index_type: IndexType
    nprobe: int | None
    recall: float | None


class VectorIndex(Protocol):
    """Search by inner product in the unit vectors of one kind, as of one commit.

    Vectors are stored as float16 and compared in float32. Ids are unique; the vectors of removed
    images are hidden. What a query finds does not depend on the queries asked with it. Scores are
    exact for every index type.
    """

    @property
    def dimension(self) -> int:
        """Length of the vectors."""

    def __len__(self) -> int:
        """Return how many vectors can be found."""

    def search(self, queries: FloatArray, k: int, allowed: ImageSet | None = None) -> list[Matches]:
        """Return the nearest vectors of each unit query (Q, D) float32, best first, ties by id.

        There are `k` or as many as there are; `allowed` restricts the search to the vectors of
        these images.
        """

    def search_images(
        self, queries: FloatArray, k: int, allowed: ImageSet | None = None
    ) -> list[ImageMatches]:
        """Return the best images of each unit query (Q, D), each once, by the best of its vectors.

        `allowed` restricts the search to these images.
        """

    def rows_of_images(self, image_ids: IdArray) -> tuple[IdArray, IdArray, FloatArray]:
        """Return the vectors of these images (N,), those of one image in order.

        They are places in `image_ids` (R,), ids (R,) and vectors (R, D) float32. Unknown images
        have none.
        """

    def rows_of_image(self, image_id: int) -> tuple[IdArray, FloatArray]:
        """Return the ids (R,) and vectors (R, D) of one image, in order; raises `KeyError`."""

    def live_ids(self) -> IdArray:
        """Return the ids (N,) of all vectors that can be found, in the order of their commits."""

    def sample(self, count: int) -> FloatArray:
        """Return about `count` vectors (N, D) float32, evenly spread over all; all if fewer."""


class KindContents(Protocol):
    """The vectors of one kind, as of one commit, to be copied into another store."""

    def read(self, image_ids: Sequence[int]) -> Mapping[int, ImageRows]:
        """Return the ids (R,) and vectors (R, D) float16 of images that have some, by image.

        Raises `StoreCorruptError`.
        """

    def let_go(self) -> None:
        """Drop the pages of files from this process, where there are files."""


class VectorStore(Protocol):
    """The vectors of a store, by kind. They count once the catalogue names them.

    What is written becomes live when the transaction that it was written in commits, after a call
    of `sync`. Writers hold the store's lock. Raises `StoreError` where the place of the vectors
    cannot be used, and `StoreCorruptError` where what the catalogue names is missing or damaged.
    """

    @property
    def drops_at_once(self) -> bool:
        """Whether `merge` is quick, so that it is called after each removal."""

    def require_usable(self) -> None:
        """Raise `StoreError` where a new store cannot keep its vectors here."""

    def open_index(self, kind: str, state: CatalogState | None = None) -> VectorIndex | None:
        """Open the vectors of one kind as of the last commit or of `state`; None without any."""

    def contents(self, kind: str, state: CatalogState) -> KindContents:
        """Open the vectors of one kind, to be copied."""

    def ivf_entry(self, kind: str) -> IvfEntry | None:
        """Return what the catalogue says about the IVF index of one kind, None without one."""

    def append(
        self,
        change: CatalogTransaction,
        kind: str,
        ids: IdArray,
        image_ids: IdArray,
        vectors: FloatArray | HalfArray,
    ) -> None:
        """Write vectors (N, D) with their ids (N,) and the ids of their images (N,), ascending."""

    def sync(self) -> None:
        """Return once all that was written would outlive this process, and is complete."""

    def rewrite(
        self,
        change: CatalogTransaction,
        kind: str,
        function: Callable[[FloatArray], FloatArray],
        progress: Progress = no_progress,
    ) -> None:
        """Replace every vector of one kind by what `function` makes of it; its IVF index goes.

        `function` maps some vectors (n, D) at a time to as many of the same dimension.
        """

    def merge(
        self, change: CatalogTransaction, kind: str, progress: Progress = no_progress
    ) -> None:
        """Make one segment of those of a kind, without the vectors of removed images."""

    def join(self, change: CatalogTransaction, kind: str, progress: Progress = no_progress) -> None:
        """Join the last segments of one kind where there are many; nothing is dropped."""

    def update_index(
        self,
        begin: Begin,
        kind: str,
        index_type: str,
        *,
        retrain: bool,
        progress: Progress = no_progress,
    ) -> KindReport:
        """Bring the index of a kind up to date, in transactions that `begin` opens.

        `index_type` is what the user chose, perhaps `auto`. With `retrain` it is built anew.
        """

    def clear_leftovers(self) -> None:
        """Delete vectors that no commit named, or that a later one dropped."""

    def leftovers(self, state: CatalogState) -> list[str]:
        """Return, in words, what `clear_leftovers` would delete."""

    def inspect(
        self,
        state: CatalogState,
        kind: str,
        wanted: WantedRows,
        progress: Progress = no_progress,
    ) -> KindFaults:
        """Read and check every vector of a kind."""

    def take_out(
        self,
        change: CatalogTransaction,
        faults: KindFaults,
        images: Collection[int],
        progress: Progress = no_progress,
    ) -> None:
        """Drop the vectors of these images, and what `inspect` found to be unreadable."""

    def drop(self) -> None:
        """Delete all vectors that are kept outside the store's folder."""

    def close(self) -> None:
        """Close the connections that are open."""
