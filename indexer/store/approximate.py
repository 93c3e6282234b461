"""ApproximateIndex: inverted lists of compressed vectors, where comparing with all takes too long.

The lists are those of an IVF index (Jégou, Douze and Schmid 2011, section V): vectors are sorted
into cells round trained centroids, and a query looks into the `nprobe` nearest of them. What it
finds there is scored anew with the stored vectors, so that scores are exact.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from indexer.errors import StoreCorruptError
from indexer.features.whitening import unit_rows
from indexer.steps import Done, unwatched
from indexer.store.faiss_runtime import faiss
from indexer.store.segments import FloatArray, IdArray, Rows

Form = Literal["exact", "balanced", "compact"]
FORMS: tuple[Form, ...] = ("exact", "balanced", "compact")
BALANCED_ROWS = 50_000  # from here on, comparing with all is no longer the quickest
COMPACT_ROWS = 5_000_000  # from here on, memory counts more than time
# What a form can be trained on.
LEAST_ROWS: dict[Form, int] = {"exact": 0, "balanced": 1, "compact": 256}

RECALL_AT = 10
HELD_OUT = 256  # stored vectors that are asked, without their own image, to set `nprobe`
LISTS = (16, 4096)
TRAINED_PER_LIST = 40
TRAINED_ROWS = 65_536  # for the codes, and at least for the centroids
TRAINED_PER_CODE = 64  # vectors for each of the 256 values of a byte of the compact form
FAMILIAR = 0.3  # what a stored vector adds to a question
ROUNDS = 10  # of k-means
BLOCK_ROWS = 8192  # compared with the questions at a time
SHARE_CELLS = 1  # faiss's threads share the cells of one query, instead of taking one query each
NOT_ASKED_FOR = -2.0  # below any cosine
SEED = 20_260_101
BYTES_A_VECTOR = 290  # of the balanced form, without its id, where 6 bits a value can keep to it
CODE_BYTES = 64  # of the compact form


@dataclass(frozen=True)
class Recipe:
    """How a form searches: what recall it is set to, and how many finds are scored anew.

    For k hits, `k * factor` finds are, and at least `least`: of the 240 truly nearest, all but one
    in ten thousand were among the 300 nearest by codes of 6 bits.
    """

    recall: float
    factor: float
    least: int


RECIPES: dict[Form, Recipe] = {
    "balanced": Recipe(recall=0.975, factor=1.25, least=40),
    "compact": Recipe(recall=0.95, factor=10, least=800),
}


def choose_form(rows: int) -> Form:
    """Return the form that suits a number of vectors."""
    if rows < BALANCED_ROWS:
        return "exact"
    return "balanced" if rows < COMPACT_ROWS else "compact"


def describe_lists(form: Form, dimension: int, rows: int) -> str:
    """Return the name that faiss gives to the index of a form."""
    lists = 2 ** round(math.log2(4 * math.sqrt(max(rows, 1))))
    lists = min(max(lists, LISTS[0]), LISTS[1], max(1, rows // TRAINED_PER_LIST))
    if form == "balanced":
        bits = next((b for b in (8, 6) if dimension * b / 8 <= BYTES_A_VECTOR), 8)
        return f"IVF{lists},SQ{bits}"
    parts = max(n for n in range(1, CODE_BYTES + 1) if dimension % n == 0)
    return f"IVF{lists},PQ{parts}"


class ApproximateIndex:
    """Finds rows of a table of unit vectors; the ids of faiss are row numbers.

    `recall` is the share of the true nearest `RECALL_AT` that `nprobe` lists gave for vectors held
    out of the collection itself.
    """

    def __init__(self, index: Any, form: Form, nprobe: int = 1, recall: float = 0.0) -> None:
        self.index = index
        self.form = form
        self.nprobe = nprobe
        self.recall = recall
        index.parallel_mode = SHARE_CELLS
        lists = faiss.downcast_InvertedLists(index.invlists)
        self._mapped = lists if isinstance(lists, faiss.OnDiskInvertedLists) else None

    def __len__(self) -> int:
        """Return how many rows are in the lists."""
        return int(self.index.ntotal)

    @classmethod
    def train_cells(cls, rows: Rows, form: Form, done: Done = unwatched) -> ApproximateIndex:
        """Return an index without rows, its centroids trained on a sample of them by k-means.

        Next come `train_codes`, `extend` and `calibrate`. `done` is told of the rounds.
        """
        dimension = rows.dimension
        index = faiss.index_factory(
            dimension, describe_lists(form, dimension, len(rows)), faiss.METRIC_INNER_PRODUCT
        )
        wanted = min(len(rows), max(TRAINED_PER_LIST * index.nlist, TRAINED_ROWS))
        centroids = faiss.Clustering(dimension, index.nlist)
        centroids.niter = 1  # at a time
        centroids.seed = SEED
        centroids.spherical = True
        centroids.max_points_per_centroid = max(1, math.ceil(wanted / index.nlist))
        centroids.min_points_per_centroid = 1
        sample = rows.take_apart(_spread(len(rows), wanted))
        for finished in range(1, ROUNDS + 1):
            centroids.train(sample, index.quantizer)  # goes on from the centroids that it has
            done(finished, ROUNDS)
        return cls(index, form)

    def train_codes(self, rows: Rows) -> None:
        """Train what compresses the vectors; of fewer rows than the cells, for less memory."""
        if self.form == "compact":
            self.index.pq.cp.niter = ROUNDS
            self.index.pq.cp.max_points_per_centroid = TRAINED_PER_CODE
        self.index.train(rows.take_apart(_spread(len(rows), min(len(rows), TRAINED_ROWS))))

    def extend(self, rows: Rows, done: Done = unwatched) -> None:
        """Add the rows that are not in the lists yet.

        The lists get room for what is to come first: growing bit by bit, they would take nearly
        twice the memory.
        """
        first = len(self)
        homes = np.empty(len(rows) - first, np.int64)
        for start, vectors in rows.chunks(first):
            own = slice(start - first, start - first + len(vectors))
            homes[own] = self.index.quantizer.assign(vectors, 1).ravel()
            done(own.stop, len(homes))
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

    def calibrate(self, rows: Rows, done: Done = unwatched) -> None:
        """Set `nprobe` to the least that reaches the recall aimed at, and note what it reaches.

        The questions are made of vectors of the collection, see `make_questions`; the image that
        each began with is left out of its answers.
        """
        asked = _spread(len(rows), HELD_OUT)
        queries = make_questions(rows.take_apart(asked))
        own = np.array([rows.span_of_image(i) for i in rows.image_ids[asked].tolist()])
        truth = nearest_rows(rows, queries, own, RECALL_AT, done)
        for nprobe in _steps(int(self.index.nlist)):
            self.nprobe = nprobe
            hits = 0
            for query, span, true in zip(queries, own.tolist(), truth, strict=True):
                others = faiss.IDSelectorNot(faiss.IDSelectorRange(*span))
                found, _ = self._search(rows, query, RECALL_AT, others)
                hits += len(np.intersect1d(found, true))
                rows.let_go()
            self.recall = hits / max(1, int(np.count_nonzero(truth >= 0)))
            if self.recall >= RECIPES[self.form].recall:
                break

    def search(
        self, rows: Rows, query: FloatArray, k: int, keep: npt.NDArray[np.bool_] | None
    ) -> tuple[IdArray, FloatArray]:
        """Return the rows (k',) nearest to `query` (D,) and their cosines, best first.

        `keep` (N,) says which rows may be found. There may be fewer than k.
        """
        selector = None
        if keep is not None:
            selector = faiss.IDSelectorBitmap(np.packbits(keep, bitorder="little"))
        return self._search(rows, query, k, selector)

    def _search(
        self, rows: Rows, query: FloatArray, k: int, selector: Any
    ) -> tuple[IdArray, FloatArray]:
        options = faiss.SearchParametersIVF(nprobe=self.nprobe, sel=selector)
        _, found = self.index.search(query[None], self.finds(k), params=options)
        if self._mapped is not None:
            # Its threads have read ahead what may be on the disk. Of lists that are in memory that
            # costs ten times what it saves.
            self._mapped.prefetch_nthread = 0
            self._mapped = None
        candidates: IdArray = np.sort(found[0][found[0] >= 0])
        scores = rows.take(candidates) @ query
        order = np.argsort(-scores, kind="stable")[:k]
        return candidates[order], scores[order]

    def finds(self, k: int) -> int:
        """Return how many finds of the lists are scored anew for `k` hits."""
        recipe = RECIPES[self.form]
        return min(max(math.ceil(k * recipe.factor), recipe.least), len(self))

    def write(self, path: Path) -> None:
        """Write the index to a file and sync it to the disk; raises `OSError`."""
        with path.open("wb") as file:
            failed: list[OSError] = []

            def put(data: bytes) -> int:
                try:
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

    @classmethod
    def read(
        cls, path: Path, form: Form, nprobe: int, recall: float, *, to_extend: bool = False
    ) -> ApproximateIndex:
        """Open what `write` wrote, by memory map unless it is to be extended.

        Raises `StoreCorruptError` where the file is missing or damaged.
        """
        try:
            index = faiss.read_index(str(path), 0 if to_extend else faiss.IO_FLAG_MMAP)
        except RuntimeError as error:
            raise StoreCorruptError(
                f"The index file {path} is missing or damaged. Make it anew with: cbir optimize"
            ) from error
        return cls(index, form, nprobe, recall)


def make_questions(vectors: FloatArray) -> FloatArray:
    """Return vectors (N, D) like those of photos that are not in the collection.

    A stored vector is found too easily, above all where its near-duplicates are stored too. Here
    a direction drawn at random, with the covariance of `vectors` (N, D), counts most, and a little
    of two of them is mixed in.
    """
    count = len(vectors)
    mean = vectors.mean(axis=0)
    weights = np.random.default_rng(SEED).normal(size=(count, count)).astype(np.float32)
    strangers = unit_rows(unit_rows(weights @ (vectors - mean)) + mean)
    return unit_rows(strangers + FAMILIAR * (vectors + np.roll(vectors, 1, axis=0)))


def nearest_rows(
    rows: Rows, queries: FloatArray, own: npt.NDArray[np.int64], k: int, done: Done = unwatched
) -> IdArray:
    """Return the rows (Q, k) truly nearest to `queries` (Q, D), but for those in `own` (Q, 2).

    Where there are fewer than k others, the last ones are -1.
    """
    best = np.empty((len(queries), 0), np.int64)
    scores = np.empty((len(queries), 0), np.float32)
    blocks = (
        (start + first, vectors[first : first + BLOCK_ROWS])
        for start, vectors in rows.chunks()
        for first in range(0, len(vectors), BLOCK_ROWS)
    )
    for start, vectors in blocks:
        part = queries @ vectors.T
        for i, (a, b) in enumerate((own - start).tolist()):
            part[i, max(a, 0) : max(b, 0)] = NOT_ASKED_FOR
        top = np.argpartition(-part, min(k, part.shape[1]) - 1, axis=1)[:, :k]
        best = np.hstack([best, top + start])
        scores = np.hstack([scores, np.take_along_axis(part, top, 1)])
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(best, order, 1)
        scores = np.take_along_axis(scores, order, 1)
        done(start + len(vectors), len(rows))
    best[scores == NOT_ASKED_FOR] = -1
    return best


def _spread(count: int, wanted: int) -> IdArray:
    """Return `wanted` of `count` rows in order, chosen at random, always the same."""
    if wanted >= count:
        return np.arange(count, dtype=np.int64)
    chosen: IdArray = np.random.default_rng(SEED).choice(count, wanted, replace=False)
    return np.sort(chosen).astype(np.int64)


def _steps(most: int) -> list[int]:
    steps = [1]
    while steps[-1] < most:
        steps.append(min(most, max(steps[-1] + 1, round(steps[-1] * 1.3))))
    return steps
