"""Class names: the classes that a store's network tells apart, as words to search and to describe.

The vectors of an fc tap that gives class scores are those scores at unit length: the largest
entries are the likeliest classes, and a unit vector along one entry finds the images of that class.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

import numpy as np

from indexer.arrays import FloatArray
from indexer.errors import InvalidQueryError
from indexer.features.classes import class_names
from indexer.features.registry import get_backbone
from indexer.store.reader import StoreReader

LIKELIEST = 3
MOST_CLASSES = 8  # that a text stands for
WORD = re.compile(r"[^\W_]+")

ClassNames = tuple[tuple[str, ...], ...]


def known_classes(store: StoreReader) -> ClassNames | None:
    """Return the names of each class, in the order of the fc vectors, None where it has none."""
    tap = get_backbone(store.spec.backbone).tap(store.spec.fc)
    return None if tap.classes is None else class_names(tap.classes)


def require_classes(store: StoreReader) -> ClassNames:
    """Return the names of each class; raises `InvalidQueryError` where there are none."""
    names = known_classes(store)
    if names is None:
        raise InvalidQueryError(
            f"The fc vectors of the store at {store.path} ({store.spec.backbone}:{store.spec.fc}) "
            "are no scores of classes, so it cannot be asked in words. Ask with an image, or "
            "rebuild it with the default backbone: cbir index --rebuild."
        )
    return names


def likeliest(names: ClassNames, vector: FloatArray, count: int = LIKELIEST) -> list[str]:
    """Return the usual names of the likeliest classes of an fc vector (D,), likeliest first."""
    return [names[place][0] for place in np.argsort(-vector, kind="stable")[:count].tolist()]


def classes_of_images(
    store: StoreReader, at_once: int
) -> Iterator[tuple[list[int], list[list[str]]]]:
    """Yield images by id, so many at once, and the likeliest classes of each.

    Raises `InvalidQueryError` where the store has no class scores.
    """
    names = require_classes(store)
    index = store.vector_index(store.find_kind("fc", "image"))
    live = index.live_ids()
    for start in range(0, len(live), at_once):
        part = np.sort(live[start : start + at_once])
        places, _, vectors = index.rows_of_images(part)
        yield part[places].tolist(), [likeliest(names, vector) for vector in vectors]


def match_classes(names: ClassNames, text: str) -> list[int]:
    """Return the classes that a text stands for, by place.

    They are those that have it as a name, or else those with a name that has all its words, the
    shortest of these first. Case does not matter. Raises `InvalidQueryError`, with the closest
    names, where there are none.
    """
    wanted = _words(text)
    by_words = [[_words(name) for name in own] for own in names]
    exact = [place for place, own in enumerate(by_words) if wanted in own]
    if exact:
        return exact
    having = {
        place: min((len(name) for name in own if set(wanted) <= set(name)), default=0)
        for place, own in enumerate(by_words)
    }
    found = sorted((place for place in having if having[place]), key=having.__getitem__)
    if wanted and found:
        return found[:MOST_CLASSES]
    every = {" ".join(_words(name)): name for own in names for name in own}
    close = [every[name] for name in get_close_matches(" ".join(wanted), every, 5)]
    remedy = f"Close ones are {', '.join(close)}." if close else "Try a more common name."
    raise InvalidQueryError(
        f"None of the {len(names):,} classes that the network knows is called {text!r}. {remedy}"
    )


def text_vector(names: ClassNames, text: str) -> FloatArray:
    """Return the unit vector (D,) in the space of fc vectors that a text stands for."""
    places = match_classes(names, text)
    vector = np.zeros(len(names), np.float32)
    vector[places] = 1 / np.sqrt(np.float32(len(places)))
    return vector


def _words(text: str) -> list[str]:
    return WORD.findall(text.casefold())
