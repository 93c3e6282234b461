"""Concepts: what examples have in common, as a linear model with calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from indexer.arrays import BoolArray, FloatArray, IdArray, cosines
from indexer.choices import TapKind
from indexer.errors import ConceptError, SpecMismatchError
from indexer.features.spec import FeatureSpec
from indexer.store.reader import StoreReader
from retrieval.calibration import (
    Calibration,
    Probabilities,
    adjust,
    estimate_prior,
    fit_platt,
)
from retrieval.relevance_feedback import LinearConcept
from retrieval.ridge import fit_ridge

LEAST_EXAMPLES = 2  # positives, and negatives: what is left out must leave one
LONGEST_NAME = 100
CLEANINGS = 2  # times that unmarked positives are looked for among drawn images
BLOCK_IMAGES = 8192  # whose vectors are in memory at a time


@dataclass(frozen=True)
class Concept:
    """What a store was taught under a name, from so many positive and negative examples.

    `model` scores vectors of whole images of the kind `feature`, of specs whose
    `image_fingerprint` is `fingerprint`. `accuracy` is the share of examples that models fitted
    without them tell right, the mean of that of the positives and that of the negatives.
    """

    name: str
    feature: TapKind
    fingerprint: str
    model: LinearConcept
    calibration: Calibration
    positives: int
    negatives: int
    accuracy: float

    @property
    def is_informed(self) -> bool:
        """Whether it tells positives from negatives at all."""
        return self.calibration.slope > 0

    def require_fits(self, spec: FeatureSpec) -> None:
        """Raise `SpecMismatchError` where images of `spec` have vectors of another meaning."""
        if spec.image_fingerprint != self.fingerprint:
            raise SpecMismatchError(
                f"The concept {self.name!r} was taught on vectors that mean something else: their "
                f"spec is {self.fingerprint[:16]}, the store's {spec.image_fingerprint[:16]}. "
                "Teach it again in this store, or use a store that was built with the same options."
            )


def check_name(name: str) -> str:
    """Return the name of a concept without white space round it; raises `ConceptError`."""
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ConceptError(
            f"{name[:LONGEST_NAME]!r} cannot be the name of a concept: give it 1 to {LONGEST_NAME} "
            "printable characters."
        )
    return name


def learn_concept(
    name: str,
    feature: TapKind,
    spec: FeatureSpec,
    vectors: FloatArray,
    positive: BoolArray,
    drawn: BoolArray | None = None,
) -> Concept:
    """Learn a concept from the unit vectors (N, D) of examples.

    It is a ridge regression, see `fit_ridge`, whose scores become probabilities by a sigmoid
    fitted on the scores of examples left out, see `fit_platt`. Negatives that were only `drawn`
    (N,) by chance may show the concept: those that look like positives are not used. Raises
    `ConceptError` for too few examples.
    """
    _require_enough(name, positive)
    if drawn is not None and drawn.any():
        used = ~_look_alikes(vectors, positive, drawn)
        vectors, positive = vectors[used], positive[used]
        _require_enough(name, positive)
    fit = fit_ridge(vectors, positive)
    judged = positive[fit.judged]
    right = fit.held_out > 0
    return Concept(
        name=check_name(name),
        feature=feature,
        fingerprint=spec.image_fingerprint,
        model=LinearConcept(fit.weights, fit.offset),
        calibration=fit_platt(fit.held_out, judged),
        positives=int(positive.sum()),
        negatives=int((~positive).sum()),
        accuracy=float(right[judged].mean() + (~right[~judged]).mean()) / 2,
    )


def _require_enough(name: str, positive: BoolArray) -> None:
    positives = int(positive.sum())
    negatives = len(positive) - positives
    for count, kind in ((positives, "positive"), (negatives, "negative")):
        if count < LEAST_EXAMPLES:
            raise ConceptError(
                f"{check_name(name)!r} needs at least {LEAST_EXAMPLES} {kind} examples that can be "
                f"read, not {count}."
            )


def _look_alikes(vectors: FloatArray, positive: BoolArray, drawn: BoolArray) -> BoolArray:
    """Return which drawn images (N,) score at least like the median positive.

    Most of them are positives that nobody marked, which would teach that the concept is rarer than
    it is. All scores compared are of examples left out (after Liu et al. 2002, Partially supervised
    classification of text documents, where known positives are hidden among the unmarked).
    """
    found: BoolArray = np.zeros(len(vectors), bool)
    for _ in range(CLEANINGS):
        used = np.flatnonzero(~found)
        if positive[used].all():  # nothing to compare with is left
            break
        fit = fit_ridge(vectors[used], positive[used])
        scores = LinearConcept(fit.weights, fit.offset).scores(vectors)
        scores[used[fit.judged]] = fit.held_out
        found = drawn & (scores >= np.median(scores[positive]))
    return found


@dataclass(frozen=True)
class Application:
    """A concept applied to a store: the images (N,) and their probabilities (N,) to show it.

    `prior` is the share of the images that show it, as estimated.
    """

    image_ids: IdArray
    probabilities: Probabilities
    prior: float


def apply_concept(store: StoreReader, concept: Concept) -> Application:
    """Return how probably each image of the store shows a concept.

    The share of positives among the examples is rarely that of the store: it is estimated from the
    store's own images, and the probabilities are adjusted to it, see `estimate_prior`. Raises
    `SpecMismatchError`.
    """
    concept.require_fits(store.spec)
    index = store.vector_index(store.find_kind(concept.feature, "image"))
    if index.dimension != len(concept.model.weights):
        raise SpecMismatchError(
            f"The concept {concept.name!r} has {len(concept.model.weights)} weights, the store's "
            f"{concept.feature} vectors have {index.dimension} values. Teach it again."
        )
    image_ids = index.live_ids()
    scores = np.zeros(len(image_ids), np.float32)
    for start in range(0, len(image_ids), BLOCK_IMAGES):
        places, _, vectors = index.rows_of_images(image_ids[start : start + BLOCK_IMAGES])
        scores[start + places] = cosines(vectors, concept.model.weights)
    calibration = concept.calibration
    probabilities = calibration.probabilities(scores + np.float32(concept.model.offset))
    prior = estimate_prior(probabilities, calibration.prior)
    return Application(image_ids, adjust(probabilities, calibration.prior, prior), prior)
