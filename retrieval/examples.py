"""Examples: the images that a concept is taught from, and their vectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexer.arrays import BoolArray, FloatArray
from indexer.choices import TapKind
from indexer.errors import CbirError, ConceptError, NoImagesError
from indexer.images.find import find_images
from indexer.images.page_paths import find_page
from indexer.sources.access import may_exist
from retrieval.collection import Collection
from retrieval.describe import describe_queries, describe_query
from retrieval.query import Query

DRAWN = 500  # images of the store that serve as negatives where none are given
LARGEST_SHARE = 3  # of a small store a third is drawn: the rest is not taught to be negative
BATCH = 16  # images that are described together


@dataclass(frozen=True)
class ExamplePaths:
    """Which images show a concept, and which do not.

    `positives` and `negatives` are image files, or folders of which all images are taken. `labels`
    say it of images of the store by id, and what `queries` ask for, an image or a box in it, shows
    it, too. Without `negatives`, at most `drawn` images of the store, chosen by chance from `seed`,
    are negatives beside those that are labelled so.
    """

    positives: Sequence[Path] = ()
    negatives: Sequence[Path] = ()
    labels: Mapping[int, bool] = field(default_factory=dict)
    queries: Sequence[Query] = ()
    drawn: int = DRAWN
    seed: int = 0


@dataclass(frozen=True)
class Examples:
    """The unit vectors (N, D) of examples, and which are `positive` (N,).

    `failed` are (path, reason) of those that could not be used, and `drawn` (N,) are the negatives
    that were chosen by chance.
    """

    vectors: FloatArray
    positive: BoolArray
    drawn: BoolArray
    failed: list[tuple[str, str]]

    @property
    def negatives_given(self) -> int:
        """How many negatives were not drawn."""
        return int((~self.positive & ~self.drawn).sum())


def find_examples(collection: Collection, wanted: ExamplePaths, feature: TapKind) -> Examples:
    """Return the examples of a concept with their vectors of whole images.

    Images of the store have their stored vectors; others are described. Raises `NoImagesError` for
    a place without images, and `ConceptError` for an image that is both positive and negative.
    """
    return collection.at_last_commit(lambda now: _find_examples(now, wanted, feature))


def _find_examples(collection: Collection, wanted: ExamplePaths, feature: TapKind) -> Examples:
    known: dict[int, bool] = {}
    others: dict[Path, bool] = {}
    for is_positive, places in ((True, wanted.positives), (False, wanted.negatives)):
        for path in _images_at(places):
            info = collection.store.find_image(path)
            if info is not None:
                _note(known, info.id, is_positive, path)
            else:
                _note(others, path.absolute(), is_positive, path)
    for image_id, is_positive in wanted.labels.items():
        _note(known, image_id, is_positive, f"image {image_id}")
    own = [
        describe_query(
            collection,
            replace(query, feature=feature, search="image", verify=False, rerank=False),
        )
        for query in wanted.queries
    ]
    drawn = [] if wanted.negatives else _draw(collection, feature, known, wanted)
    known |= dict.fromkeys(drawn, False)
    image_ids, vectors = _stored(collection, feature, known)
    described, failed = _describe(collection, feature, others)
    more = [*described.values(), *own]
    marks = [known[i] for i in image_ids] + [others[p] for p in described] + [True for _ in own]
    return Examples(
        vectors=np.concatenate([vectors, *(vector[None] for vector in more)]),
        positive=np.array(marks, bool),
        drawn=np.concatenate([np.isin(image_ids, drawn), np.zeros(len(more), bool)]),
        failed=failed,
    )


def _note(marks: dict[Any, bool], key: int | Path, is_positive: bool, name: object) -> None:
    if marks.setdefault(key, is_positive) is not is_positive:
        raise ConceptError(f"{name} is given as a positive and as a negative example.")


def _images_at(places: Iterable[Path]) -> list[Path]:
    """Return image files, and the images of folders."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            images = [Path(entry.path) for entry in find_images(place)]
            if not images:
                raise NoImagesError(f"There is no image in {place}.")
            found += images
        elif _is_file(place):
            found.append(place)
        else:
            raise NoImagesError(f"There is no image, and no folder of images, at {place}.")
    return found


def _is_file(place: Path) -> bool:
    return may_exist(find_page(place)[0])


def _draw(
    collection: Collection, feature: TapKind, known: Mapping[int, bool], wanted: ExamplePaths
) -> list[int]:
    """Return images of the store that are not examples yet."""
    index = collection.index(collection.store.find_kind(feature, "image"))
    asked = [query.image_id for query in wanted.queries if query.image_id is not None]
    free = np.setdiff1d(index.live_ids(), np.array([*known, *asked], np.int64))
    random = np.random.default_rng(wanted.seed)
    count = min(wanted.drawn, -(-len(free) // LARGEST_SHARE))
    return sorted(random.choice(free, count, replace=False).tolist())


def _stored(
    collection: Collection, feature: TapKind, known: Iterable[int]
) -> tuple[list[int], FloatArray]:
    """Return images by id, and their stored vectors (N, D); those without any are left out.

    They are blank, or were removed since they were labelled.
    """
    index = collection.index(collection.store.find_kind(feature, "image"))
    ids = np.array(sorted(known), np.int64)
    places, _, vectors = index.rows_of_images(ids)
    return ids[places].tolist(), vectors


def _describe(
    collection: Collection, feature: TapKind, paths: Iterable[Path]
) -> tuple[dict[Path, FloatArray], list[tuple[str, str]]]:
    """Return the vectors (D,) of image files, and (path, reason) of those that have none."""
    described: dict[Path, FloatArray] = {}
    failed: list[tuple[str, str]] = []
    most, files = collection.store.max_pixels, list(paths)
    for start in range(0, len(files), BATCH):
        part = files[start : start + BATCH]
        queries = [Query(path=path, feature=feature, max_pixels=most) for path in part]
        for path, found in zip(part, describe_queries(collection, queries), strict=True):
            if isinstance(found, CbirError):
                failed.append((str(path), getattr(found, "reason", str(found))))
            else:
                described[path] = found.own[0]
    return described, failed
