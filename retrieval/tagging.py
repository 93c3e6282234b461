"""Teaching a store concepts, and tagging its images with them."""

from __future__ import annotations

from collections.abc import Collection as Names
from dataclasses import dataclass, replace

from indexer.arrays import Pixels
from indexer.choices import TAG_THRESHOLD, TapKind
from indexer.errors import ConceptError, ImageError, InvalidConceptError, StoreCorruptError
from indexer.features.regions import Region
from indexer.images.accepted import load_accepted
from indexer.progress import Progress, no_progress
from indexer.store.reader import StoreReader
from indexer.store.records import ImageInfo
from indexer.store.store import Store
from indexer.store.tags import read_concepts, rename_concept, replace_tags, save_concept
from retrieval.collection import Collection
from retrieval.concept_files import dump_concept, load_concept
from retrieval.concept_maps import locate_concept
from retrieval.concepts import Concept, apply_concept, check_name, learn_concept
from retrieval.examples import ExamplePaths, Examples, find_examples

LOCATED_AT_ONCE = 16  # images in memory
LOCATED_SIDE_PX = 640  # at which images are read: a map has far fewer cells


@dataclass(frozen=True)
class Tagging:
    """The images that have a tag, by id, with their probabilities, the most probable first.

    `prior` is the share of all images that show the concept, as estimated.
    """

    name: str
    probabilities: dict[int, float]
    prior: float


def teach(
    store: Store,
    name: str,
    collection: Collection,
    wanted: ExamplePaths,
    feature: TapKind = "conv",
) -> tuple[Concept, Examples]:
    """Learn a concept from examples and keep it in the store, in place of the one of that name.

    Raises `ConceptError` for too few examples, and what `find_examples` does.
    """
    found = find_examples(collection, wanted, feature)
    concept = learn_concept(name, feature, store.spec, found.vectors, found.positive, found.drawn)
    keep_concept(store, concept)
    return concept, found


def keep_concept(store: Store, concept: Concept) -> None:
    """Keep a concept in the store, in place of the one of that name; raises `SpecMismatchError`."""
    concept.require_fits(store.spec)
    with store.writing():
        save_concept(store, concept.name, dump_concept(concept))


def rename(store: Store, name: str, new_name: str) -> str:
    """Give a concept another name, and return it; the images that have it as a tag keep it.

    Raises `UnknownConceptError`, and `ConceptError` for a name that is none, or is taken.
    """
    new_name = check_name(new_name)
    with store.writing():
        [concept] = known_concepts(store, [name])
        if new_name != name:
            rename_concept(store, name, new_name, dump_concept(replace(concept, name=new_name)))
    return new_name


def known_concepts(store: StoreReader, names: Names[str] = ()) -> list[Concept]:
    """Return the concepts of these names, or all by name.

    Raises `UnknownConceptError`, and `StoreCorruptError` for one that cannot be read.
    """
    try:
        return [load_concept(text) for text in read_concepts(store, names).values()]
    except InvalidConceptError as error:
        raise StoreCorruptError(
            f"A concept of the store at {store.path} cannot be read ({error}). Teach it again."
        ) from error


def tag_images(
    store: Store, names: Names[str] = (), threshold: float = TAG_THRESHOLD
) -> list[Tagging]:
    """Tag the images that show a concept with at least this probability, and no others.

    It is done for the concepts of these names, or for all. Raises `UnknownConceptError`, and
    `ConceptError` where the store was taught none.
    """
    if not 0 <= threshold <= 1:
        raise ConceptError(f"The threshold must be 0 to 1, not {threshold}.")
    with store.writing():
        concepts = known_concepts(store, names)
        if not concepts:
            raise ConceptError(
                "The store was taught no concept yet: cbir teach NAME --positive PHOTOS"
            )
        tagged = [_apply(store, concept, threshold) for concept in concepts]
        replace_tags(store, {tagging.name: tagging.probabilities for tagging in tagged})
    return tagged


def locate_tagged(
    collection: Collection, tagging: Tagging, progress: Progress = no_progress
) -> dict[int, Region]:
    """Return where each tagged image shows the concept, by id: a box in its pixels.

    Images that cannot be read now are left out. Raises `ConceptError` for a concept of fc features,
    which have no places.
    """
    [concept] = known_concepts(collection.store, [tagging.name])
    if concept.feature != "conv":
        raise ConceptError(
            f"The concept {concept.name!r} was taught on fc features, which have no places. Teach "
            "it with --feature conv to locate it."
        )
    infos = list(collection.store.image_infos(tagging.probabilities).values())
    found: dict[int, Region] = {}
    for start in range(0, len(infos), LOCATED_AT_ONCE):
        part = infos[start : start + LOCATED_AT_ONCE]
        loaded = [(info, pixels) for info in part if (pixels := _load(info)) is not None]
        images = [pixels for _, pixels in loaded]
        boxes = locate_concept(collection.extractor, concept.model.weights, images)
        for (info, pixels), box in zip(loaded, boxes, strict=True):
            size = (pixels.shape[1], pixels.shape[0])
            found[info.id] = box.scaled(size, (info.width, info.height))
        progress("Locating", start + len(part), len(infos))
    return found


def _load(info: ImageInfo) -> Pixels | None:
    try:
        size = (info.width, info.height)
        return load_accepted(info.path, size, at_least=LOCATED_SIDE_PX).pixels
    except ImageError:
        return None


def _apply(store: Store, concept: Concept, threshold: float) -> Tagging:
    applied = apply_concept(store, concept)
    pairs = zip(applied.image_ids.tolist(), applied.probabilities.tolist(), strict=True)
    kept = [(i, p) for i, p in pairs if p >= threshold]
    kept.sort(key=lambda pair: (-pair[1], pair[0]))
    return Tagging(concept.name, dict(kept), applied.prior)
