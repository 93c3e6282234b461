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
    name: str, feature: TapKind, spec: FeatureSpec, vectors: FloatArray, positive: BoolArray
) -> Concept:
    """Learn a concept from the unit vectors (N, D) of examples.

    It is a ridge regression, see `fit_ridge`, whose scores become probabilities by a sigmoid
    fitted on the scores of examples left out, see `fit_platt`. Raises `ConceptError` for too few
    examples.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    for count, kind in ((positives, "positive"), (negatives, "negative")):
        if count < LEAST_EXAMPLES:
            raise ConceptError(
                f"{check_name(name)!r} needs at least {LEAST_EXAMPLES} {kind} examples that can be "
                f"read, not {count}."
            )
    fit = fit_ridge(vectors, positive)
    return Concept(
        name=check_name(name),
        feature=feature,
        fingerprint=spec.image_fingerprint,
        model=LinearConcept(fit.weights, fit.offset),
        calibration=fit_platt(fit.held_out, positive),
        positives=positives,
        negatives=negatives,
        accuracy=float((fit.held_out[positive] > 0).mean() + (fit.held_out[~positive] <= 0).mean())
        / 2,
    )


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
