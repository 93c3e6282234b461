"""IvfIndex: an inverted file of compressed vectors, for where comparing with all takes too long.

Vectors are assigned to the cells of trained centroids (Jégou, Douze and Schmid 2011, section V),
and a query scans the `nprobe` nearest cells. The candidates found there are scored again with the
stored vectors, so scores are exact.
"""

from __future__ import annotations

import hashlib
import math
import os
from bisect import bisect_left
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, IdArray, cosines
from indexer.choices import INDEX_TYPES, IndexType
from indexer.errors import StoreCorruptError
from indexer.progress import Progress, no_progress
from indexer.store.catalog.protocol import IvfEntry
from indexer.store.folder import StoreFolder
from indexer.store.vectors.faiss_runtime import faiss
from indexer.store.vectors.index_types import ACCURACY, RECALL_AT
from indexer.store.vectors.ivf_calibration import (
    SEED,
    make_questions,
    nearest_rows,
    probe_steps,
    spread_rows,
)
from indexer.store.vectors.segments import Rows

HELD_OUT = 256  # stored vectors that are asked, without their own image, to set `nprobe`
LISTS = (16, 4096)  # at least and at most
TRAINED_PER_LIST = 40
TRAINED_ROWS = 65_536  # for the codes, and at least for the centroids
TRAINED_PER_CODE = 64  # vectors for each of the 256 values of a byte of a compact code
ROUNDS = 10  # of k-means
SHARE_CELLS = 1  # faiss's threads share the cells of one query, instead of taking one query each
BYTES_A_VECTOR = 290  # of a balanced index, without its id, if 6 bits a value fit into it
CODE_BYTES = 64  # of a compact index


def factory_string(index_type: IndexType, dimension: int, rows: int) -> str:
    """Return how faiss's `index_factory` spells an index type."""
    lists = 2 ** round(math.log2(4 * math.sqrt(max(rows, 1))))
    lists = min(max(lists, LISTS[0]), LISTS[1], max(1, rows // TRAINED_PER_LIST))
    if index_type == "balanced":
        bits = next((b for b in (8, 6) if dimension * b / 8 <= BYTES_A_VECTOR), 8)
        return f"IVF{lists},SQ{bits}"
    parts = max(n for n in range(1, CODE_BYTES + 1) if dimension % n == 0)
    # "np": without the training for polysemous codes, which nothing here searches by.
    return f"IVF{lists},PQ{parts}np"


class IvfIndex:
    """Finds rows of a table of unit vectors; the ids of faiss are row numbers.

    `recall` is the share of the true nearest `RECALL_AT` that `nprobe` lists gave for vectors held
    out of the collection itself.
    """

    def __init__(
        self, index: Any, index_type: IndexType, nprobe: int = 1, recall: float = 0.0
    ) -> None:
        self.index = index
        self.index_type = index_type
        self.nprobe = nprobe
        self.recall = recall
        index.parallel_mode = SHARE_CELLS
        lists = faiss.downcast_InvertedLists(index.invlists)
        self._mapped = lists if isinstance(lists, faiss.OnDiskInvertedLists) else None

    def __len__(self) -> int:
        """Return how many rows are in the index."""
        return int(self.index.ntotal)

    @classmethod
    def train_cells(
        cls, rows: Rows, index_type: IndexType, progress: Progress = no_progress
    ) -> IvfIndex:
        """Return an index without rows, its centroids trained on a sample of them by k-means.

        Next come `train_codes`, `extend` and `calibrate`. `progress` is told of the rounds.
        """
        dimension = rows.dimension
        index = faiss.index_factory(
            dimension, factory_string(index_type, dimension, len(rows)), faiss.METRIC_INNER_PRODUCT
        )
        wanted = min(len(rows), max(TRAINED_PER_LIST * index.nlist, TRAINED_ROWS))
        centroids = faiss.Clustering(dimension, index.nlist)
        centroids.niter = 1  # at a time
        centroids.seed = SEED
        centroids.spherical = True
        centroids.max_points_per_centroid = max(1, math.ceil(wanted / index.nlist))
        centroids.min_points_per_centroid = 1
        sample = rows.take_scattered(spread_rows(len(rows), wanted))
        for finished in range(1, ROUNDS + 1):
            centroids.train(sample, index.quantizer)  # continues from the centroids that it has
            progress("training the IVF index", finished, ROUNDS)
        return cls(index, index_type)

    def train_codes(self, rows: Rows) -> None:
        """Train what compresses the vectors; of fewer rows than the cells, for less memory."""
        if self.index_type == "compact":
            self.index.pq.cp.niter = ROUNDS
            self.index.pq.cp.min_points_per_centroid = 1  # faiss warns of fewer than 39
            self.index.pq.cp.max_points_per_centroid = TRAINED_PER_CODE
        self.index.train(rows.take_scattered(spread_rows(len(rows), min(len(rows), TRAINED_ROWS))))

    def extend(self, rows: Rows, progress: Progress = no_progress) -> None:
        """Add the rows that are not in the lists yet.

        The lists get room for what is to come first: growing bit by bit, they would take nearly
        twice the memory.
        """
        first = len(self)
        homes = np.empty(len(rows) - first, np.int64)
        for start, vectors in rows.chunks(first):
            own = slice(start - first, start - first + len(vectors))
            homes[own] = self.index.quantizer.assign(vectors, 1).ravel()
            progress("adding vectors to the IVF index", own.stop, len(homes))
        self._make_room(np.bincount(homes, minlength=self.index.nlist))
        for start, vectors in rows.chunks(first):
            ids = np.arange(start, start + len(vectors), dtype=np.int64)
            cells = np.ascontiguousarray(homes[start - first : start - first + len(vectors)])
            pointers = (faiss.swig_ptr(array) for array in (vectors, ids, cells))
            self.index.add_core(len(vectors), *pointers)

    def _make_room(self, counts: npt.NDArray[np.intp]) -> None:
        lists = faiss.downcast_InvertedLists(self.index.invlists)
        for place, count in enumerate(counts.tolist()):
            held = lists.list_size(place)
            lists.resize(place, held + count)
            lists.resize(place, held)  # the room stays

    def calibrate(self, rows: Rows, progress: Progress = no_progress) -> None:
        """Set `nprobe` to the least that reaches the recall aimed at, and note what it reaches.

        The questions are made of vectors of the collection, see `make_questions`; the image that
        each began with is left out of its answers.
        """
        asked = spread_rows(len(rows), HELD_OUT)
        queries = make_questions(rows.take_scattered(asked))
        own = np.array([rows.span_of_image(i) for i in rows.image_ids[asked].tolist()])
        truth = nearest_rows(rows, queries, own, RECALL_AT, progress)
        wanted = ACCURACY[self.index_type].recall
        reached: dict[int, float] = {}

        def reaches(nprobe: int) -> bool:
            """Whether so many lists give the recall; more lists never give less."""
            self.nprobe, hits = nprobe, 0
            for query, span, true in zip(queries, own.tolist(), truth, strict=True):
                others = faiss.IDSelectorNot(faiss.IDSelectorRange(*span))
                found, _ = self._search(rows, query, RECALL_AT, nprobe, others)
                hits += len(np.intersect1d(found, true))
                rows.let_go()
            reached[nprobe] = hits / max(1, int(np.count_nonzero(truth >= 0)))
            return reached[nprobe] >= wanted

        steps = [*probe_steps(int(self.index.nlist))]
        self.nprobe = steps[min(bisect_left(steps, True, key=reaches), len(steps) - 1)]
        self.recall = reached[self.nprobe]

    def search(self, rows: Rows, query: FloatArray, k: int) -> tuple[IdArray, FloatArray]:
        """Return the rows (k',) nearest to `query` (D,) and their cosines, best first.

        There may be fewer than k.
        """
        return self._search(rows, query, k, self.nprobe, None)

    def search_some(
        self, rows: Rows, query: FloatArray, k: int, bits: npt.NDArray[np.uint8], count: int
    ) -> tuple[IdArray, FloatArray]:
        """Do what `search` does among the `count` rows whose bits are set, see `RowBitmap`.

        The fewer these are, the more cells are scanned, so that as many of them are compared as a
        search of all rows compares: the nearest ones of a few lie further away, in more cells.
        """
        nprobe = min(int(self.index.nlist), math.ceil(self.nprobe * len(self) / max(count, 1)))
        return self._search(rows, query, k, nprobe, faiss.IDSelectorBitmap(bits))

    def _search(
        self, rows: Rows, query: FloatArray, k: int, nprobe: int, selector: Any
    ) -> tuple[IdArray, FloatArray]:
        options = faiss.SearchParametersIVF(nprobe=nprobe, sel=selector)
        distances, found = self.index.search(query[None], self.candidates(k), params=options)
        if self._mapped is not None:
            # The first search reads ahead from the disk. Once the lists are in memory, that costs
            # ten times what it saves.
            self._mapped.prefetch_nthread = 0
            self._mapped = None
        candidates = np.sort(_decided(found[0], distances[0]))
        scores = cosines(rows.take(candidates), query)
        order = np.argsort(-scores, kind="stable")[:k]
        return candidates[order], scores[order]

    def candidates(self, k: int) -> int:
        """Return how many candidates are scored again for `k` hits."""
        accuracy = ACCURACY[self.index_type]
        return min(max(math.ceil(k * accuracy.factor), accuracy.least), len(self))

    def write(self, folder: StoreFolder, name: str) -> str:
        """Write the index to a file, sync it to the disk and return its checksum.

        Raises `OSError`.
        """
        digest = hashlib.sha256()
        with folder.write(name) as file:
            failed: list[OSError] = []

            def put(data: bytes) -> int:
                try:
                    digest.update(data)
                    return file.write(data)
                except OSError as error:
                    failed.append(error)  # faiss would lose it
                    raise

            try:
                faiss.write_index(self.index, faiss.PyCallbackIOWriter(put))
            except RuntimeError as error:
                raise (failed or [OSError(str(error))])[0] from error
            file.flush()
            os.fsync(file.fileno())
        return digest.hexdigest()

    @classmethod
    def read(
        cls, folder: StoreFolder, name: str, entry: IvfEntry, *, to_extend: bool = False
    ) -> IvfIndex:
        """Open what `write` wrote, by memory map unless it is to be extended.

        Only for files that this account wrote: faiss trusts what it reads. Raises `OSError`, and
        `StoreCorruptError` where the file does not agree with its checksum, if it has one.
        """
        path = folder.path / name
        with folder.read(name) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        damaged = f"The index file {path} is damaged. Rebuild it with: cbir optimize"
        if entry.checksum and digest != entry.checksum:
            raise StoreCorruptError(damaged)
        try:
            index = faiss.read_index(str(path), 0 if to_extend else faiss.IO_FLAG_MMAP)
        except RuntimeError as error:
            raise StoreCorruptError(damaged) from error
        index_type: IndexType = next(t for t in INDEX_TYPES if t == entry.index_type)
        return cls(index, index_type, entry.nprobe, entry.recall)


def _decided(found: IdArray, distances: FloatArray) -> IdArray:
    """Return the rows found (N,) but for those at the last distance, if there may be more of them.

    Which of several rows at the same distance come last depends on the order of faiss's threads.
    """
    full = bool(found[-1] >= 0)
    decided: IdArray = found[distances > distances[-1]] if full else found[found >= 0]
    return decided
