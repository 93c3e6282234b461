"""Relevance feedback: a linear model learned from a few labels, on the stored vectors.

A flat linear model on deep features does what trained networks do elsewhere (Razavian et al.
2014). The collection itself is the negative class: the mean and scatter of its vectors are measured
once, and then a concept is learned in milliseconds, as in Hariharan et al. 2012 (Discriminative
decorrelation for clustering and classification).
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from indexer.arrays import FloatArray, cosines, one_blas_thread
from indexer.errors import InvalidQueryError
from indexer.features.spec import VectorKind
from indexer.memory import Shelf
from indexer.store.vectors.protocol import VectorIndex
from retrieval.collection import Collection
from retrieval.describe import QueryVectors, describe_query
from retrieval.query import Hit, Query
from retrieval.ranking import rank

BACKGROUND_VECTORS = 5_000
SHRINKAGE = 1.0  # of the scatter towards a sphere, as a share of its mean eigenvalue
SUGGESTED_FROM = 200  # best hits, among which the most uncertain are chosen
LEAST_REACH = 0.01  # of positives over the background, before stretching
UNCERTAIN = 0.5  # halfway between a collection's mean (0) and what is wanted (1)

Labels = Mapping[int, bool]
"""By image id: True for an image that shows the concept, False for one that does not."""


@dataclass(frozen=True)
class LinearConcept:
    """A linear model: `weights` (D,) and `offset`; about 1 for what is wanted, 0 for the rest."""

    weights: FloatArray
    offset: float

    def scores(self, vectors: FloatArray) -> FloatArray:
        """Return the scores (N,) of vectors (N, D)."""
        scores: FloatArray = vectors @ self.weights + np.float32(self.offset)
        return scores

    @property
    def direction(self) -> FloatArray:
        """The unit vector (D,) whose nearest vectors score best."""
        return self.weights / np.float32(max(self.length, 1e-12))

    @property
    def length(self) -> float:
        """The L2 length of the weights."""
        return float(np.linalg.norm(self.weights))


class ConceptLearner:
    """Learns concepts in one space of vectors, against a `background` (N, D) from it."""

    def __init__(self, background: FloatArray) -> None:
        if len(background) < 2:
            raise ValueError(f"a background needs at least 2 vectors, not {len(background)}")
        dimension = background.shape[1]
        self.mean: FloatArray = background.mean(axis=0)
        centred = background - self.mean
        with one_blas_thread():
            scatter = (centred.T @ centred).astype(np.float64) / len(background)
            sphere = SHRINKAGE * max(float(np.trace(scatter)) / dimension, 1e-9)
            inverse = np.linalg.inv(scatter + sphere * np.eye(dimension))
        self._inverse: FloatArray = inverse.astype(np.float32)

    def learn(self, positives: FloatArray, negatives: FloatArray) -> LinearConcept:
        """Return the concept of positives (P, D), at least one, and negatives (N, D).

        Raises `InvalidQueryError` where the two are the same thing.

        It is the ridge regression to 1 for positives, -1 for negatives and, on average over the
        background, 0: (S + sum c x xᵀ) w = sum c y x with x centred on the background, S its
        shrunk scatter and c such that positives and negatives count alike, solved for the labelled
        vectors only (Woodbury).
        """
        if not len(positives):
            raise ValueError("a concept needs a positive vector")
        labelled = np.vstack([positives, negatives.reshape(-1, positives.shape[1])]) - self.mean
        counts = np.repeat(
            [len(positives), max(1, len(negatives))], [len(positives), len(negatives)]
        )
        shares = np.sqrt(1 / counts).astype(np.float32)
        targets = np.repeat([1.0, -1.0], [len(positives), len(negatives)]).astype(np.float32)
        rows = labelled * shares[:, None]
        spread = np.stack([cosines(self._inverse, row) for row in rows], axis=1)  # (D, P + N)
        dual = np.linalg.solve(np.eye(len(rows)) + rows @ spread, targets * shares)
        weights = (spread @ dual).astype(np.float32)
        reach = float(np.mean(labelled[: len(positives)] @ weights))
        if reach < LEAST_REACH:
            raise InvalidQueryError(
                "An image labelled wrong has the same features as the query or an image labelled "
                "right. Remove one of the labels."
            )
        # A ridge keeps weights short: they are stretched until the positives score 1 on average.
        weights /= np.float32(reach)
        return LinearConcept(weights, -float(weights @ self.mean))


class RelevanceFeedback:
    """Ranks the whole collection by a query and labels, not only the hits that were labelled."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._kept = Shelf()
        self._learners: dict[VectorKind, tuple[weakref.ref[VectorIndex], ConceptLearner]] = {}

    def learn(self, query: Query, labels: Labels) -> LinearConcept:
        """Return the concept that the query and the labels describe together.

        It lives in the space that the query searches. For an image searched by regions, a label is
        about the window that is most similar to the query. Labels of removed images are ignored.
        """
        return self._collection.at_last_commit(lambda now: self._learn(now, query, labels))

    def _learn(self, collection: Collection, query: Query, labels: Labels) -> LinearConcept:
        kind = collection.store.find_kind(query.feature, query.search)
        own = self._query_vector(collection, query)
        rows = {image_id: _label_vector(collection, kind, image_id, own) for image_id in labels}
        known = {i: row for i, row in rows.items() if row is not None}
        positives = [row for i, row in known.items() if labels[i]]
        negatives = [row for i, row in known.items() if not labels[i]]
        return self._learner(collection, kind).learn(
            np.stack([own, *positives]), np.reshape(negatives, (-1, len(own))).astype(np.float32)
        )

    def search(self, query: Query, labels: Labels) -> list[Hit]:
        """Return the hits of the concept of `query` and labels; `Hit.score` is the concept's.

        Raises what `SearchEngine.search` does, and `InvalidQueryError` for a query that re-ranks.
        """
        if query.rerank:
            raise InvalidQueryError("Relevance feedback cannot be combined with re-ranking.")
        return self._collection.at_last_commit(lambda now: self._search(now, query, labels))

    def _search(self, collection: Collection, query: Query, labels: Labels) -> list[Hit]:
        concept = self._learn(collection, query, labels)
        # What was labelled decides, not the query alone.
        plain = replace(query, turns=False, verify=False, min_confidence=0.0, also=())
        [hits] = rank(collection, [plain], [QueryVectors(concept.direction[None])])
        return [
            replace(
                hit,
                score=hit.score * concept.length + concept.offset,
                confidence=None,
                verdict=None,
            )
            for hit in hits
        ]

    def suggest(self, query: Query, labels: Labels, count: int = 8) -> list[Hit]:
        """Return the most uncertain unlabelled hits among the best: labelling these helps most."""
        pool = self.search(replace(query, k=SUGGESTED_FROM), labels)
        unlabelled = [hit for hit in pool if hit.image_id not in labels]
        return sorted(unlabelled, key=lambda hit: (abs(hit.score - UNCERTAIN), hit.rank))[:count]

    def _query_vector(self, collection: Collection, query: Query) -> FloatArray:
        """Return the vector of a query, kept for the last ones; of their images only a digest."""
        digest = None if query.data is None else hashlib.sha256(query.data).digest()
        bare = replace(query, data=digest, k=None, allowed=None)
        key = collection.spec.fingerprint, bare
        return self._kept.get(key, lambda: describe_query(collection, query), _vector_bytes)

    def _learner(self, collection: Collection, kind: VectorKind) -> ConceptLearner:
        index = collection.index(kind)
        kept = self._learners.get(kind)
        if kept is None or kept[0]() is not index:  # there was a commit
            background = index.sample(BACKGROUND_VECTORS)
            if len(background) < 2:
                raise InvalidQueryError(
                    "Relevance feedback needs a collection of more than one image."
                )
            kept = self._learners[kind] = weakref.ref(index), ConceptLearner(background)
        return kept[1]


def _label_vector(
    collection: Collection, kind: VectorKind, image_id: int, own: FloatArray
) -> FloatArray | None:
    """Return an image's vector (D,) most like `own`, None where it has none."""
    try:
        _, vectors = collection.index(kind).rows_of_image(image_id)
    except KeyError:
        return None
    best: FloatArray = vectors[int(cosines(vectors, own).argmax())]
    return best


def _vector_bytes(vector: FloatArray) -> int:
    return vector.nbytes
