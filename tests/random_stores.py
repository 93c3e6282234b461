"""Small stores at random, of photos that do not exist: all that a catalogue may hold of them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from indexer.arrays import unit_rows
from indexer.images.facts import ImageFacts
from indexer.sources.place import Remote
from indexer.store.annotations import annotate
from indexer.store.decisions import choose_original, keep_all
from indexer.store.records import Entry, FileState, StoredFeatures
from indexer.store.store import Store
from indexer.store.tags import replace_tags, save_concept
from tests.colour_grid import region_spec

Filling = list[tuple[Entry, dict[str, str], dict[str, float]]]
"""Images, what fields say of them, and their tags."""
DIMENSIONS = {"conv": 6, "fc": 5, "region": 3, "region_fc": 5}
FIELDS = ("title", "Preis", "id", "ID_field", "tags")  # the latter are columns of an export, too
INT64 = st.integers(-(2**63) + 1, 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\udcff"), min_size=1
).filter(lambda name: name not in (".", ".."))
FACTS = st.builds(
    ImageFacts,
    st.integers(1, 5000),
    st.integers(1, 5000),
    st.sampled_from(["JPEG", "PNG", ""]),
    st.none() | st.datetimes(dt.datetime(1, 1, 1)),
    st.none() | TEXTS,
)


@st.composite
def files(draw: st.DrawFn) -> FileState:
    """The files of images, below root 1 or 2; names may be no UTF-8."""
    parts = draw(st.lists(NAMES, min_size=1, max_size=3))
    ending = draw(st.sampled_from(["", ".jpg", "\udcff.png", ".tif#page=2"]))
    return FileState(
        draw(st.sampled_from([1, 2])),
        "/".join(parts) + ending,
        draw(st.integers(0, 2**40)),
        draw(INT64),
        draw(st.just(b"") | st.binary(min_size=32, max_size=32)),
        draw(st.none() | INT64),
        draw(st.none() | st.integers(0, 2**63 - 1)),
    )


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    """Images: readable, blank or failed ones."""
    file, facts = draw(files()), draw(FACTS)
    state = draw(st.sampled_from(["ok", "ok", "ok", "blank", "failed"]))
    if state == "failed":
        return Entry(file, reason=draw(TEXTS))
    if state == "blank":
        return Entry(file, facts, is_blank=True)
    seed, regions = draw(st.integers(0, 2**32)), draw(st.integers(1, 4))
    return Entry(
        file,
        facts,
        features(facts, seed, regions),
        pages=draw(st.none() | st.just(3)),
        warnings=draw(st.sampled_from([(), ("odd",), ("odd", "bad bytes: \udce9")])),
    )


def features(facts: ImageFacts, seed: int, regions: int) -> StoredFeatures:
    """Return features drawn from a seed, with so many regions."""
    random = np.random.default_rng(seed)
    vectors = {
        kind: unit_rows(
            random.normal(size=(regions if kind in ("region", "region_fc") else 1, size)).astype(
                np.float32
            )
        ).astype(np.float16)
        for kind, size in DIMENSIONS.items()
    }
    starts = random.integers(0, (facts.width, facts.height), size=(regions, 2))
    ends = random.integers(starts + 1, (facts.width + 1, facts.height + 1), size=(regions, 2))
    return StoredFeatures(vectors, np.hstack([starts, ends]).astype(np.int64))


@st.composite
def fillings(draw: st.DrawFn) -> Filling:
    """The images of a store, each at a path of its own."""
    texts = st.dictionaries(st.sampled_from(FIELDS), TEXTS)
    tags = st.dictionaries(st.sampled_from(["cat", "="]), st.floats(0, 1))
    images = st.tuples(entries(), texts, tags)
    return draw(
        st.lists(
            images,
            max_size=12,
            unique_by=lambda image: (image[0].file.root_id, image[0].file.path),
        )
    )


def fill(place: Path, filling: Filling, commits: int = 2) -> Store:
    """Create a store of images that were drawn, of a folder and of a bucket, in some commits."""
    store = Store.create(place, region_spec("sliding"))
    store.add_root(place.parent / "photos")
    store.add_root(Remote("s3://bucket/more photos"))
    with store.writing():
        for start in range(commits):
            store.commit([entry for entry, _, _ in filling[start::commits]])
        ids = {key: known.id for key, known in store.known_files().items()}
        texts: dict[str, dict[int, str]] = {}
        tags: dict[str, dict[int, float]] = {"cat": {}, "=": {}}
        for entry, said, probabilities in filling:
            image_id = ids[entry.file.root_id, entry.file.path]
            for name, text in said.items():
                texts.setdefault(name, {})[image_id] = text
            for name, probability in probabilities.items():
                if not (entry.reason or entry.is_blank):
                    tags[name][image_id] = probability
        for name in tags:
            save_concept(store, name, f'{{"of": "{name}"}}')
        replace_tags(store, tags)
        annotate(store, texts)
        images = sorted(ids.values())
        keep_all(store, images[:3])
        if len(images) > 3:
            choose_original(store, images[3], images[1:5:3])
    return store
