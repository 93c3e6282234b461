"""Vectors of all taps: the same whether they were kept or not, and described only once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.arrays import Pixels
from indexer.build import Builder
from indexer.features.engines.protocols import Activations, InferenceEngine, T
from indexer.features.extractor import FeatureExtractor
from indexer.store.layout import TAPS
from indexer.store.records import ImageInfo
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.layers import LayerLab
from retrieval.query import Query
from retrieval.tap_vectors import BATCH, Rows, TapVectors
from tests.pictures import noise, photo

IMAGES = BATCH + 3


class Counting:
    """An engine that counts the images that it runs."""

    def __init__(self, engine: InferenceEngine) -> None:
        self.engine = engine
        self.description = engine.description
        self.count = 0

    def run(self, images: Sequence[Pixels], use: Callable[[int, Activations], T]) -> list[T]:
        self.count += len(images)
        return self.engine.run(images, use)


@pytest.fixture
def store(tmp_path: Path, lite0: FeatureExtractor) -> Iterator[Store]:
    (tmp_path / "photos").mkdir()
    photo("coffee").resize((160, 120)).save(tmp_path / "photos" / "coffee.png")
    for number in range(1, IMAGES):
        Image.fromarray(noise(number, 96, 128)).save(tmp_path / "photos" / f"{number:02}.png")
    opened = Store.create(tmp_path / ".cbir", lite0.spec)
    Builder(opened, lambda: lite0).run([tmp_path / "photos"])
    yield opened
    opened.close()


@pytest.fixture
def search(store: Store, lite0: FeatureExtractor) -> SearchEngine:
    return SearchEngine(store, extractor=lite0)


def counted(lab: LayerLab) -> Counting:
    lab.vectors.inference = counting = Counting(lab.vectors.inference)
    return counting


def all_infos(store: Store) -> list[ImageInfo]:
    return [*store.image_infos(range(1, IMAGES + 1)).values()]


def rows_of(vectors: TapVectors, infos: Sequence[ImageInfo], *, by_region: bool) -> dict[int, Rows]:
    parts = vectors.of_images(infos, by_region=by_region)
    return {info.id: rows for part in parts for info, rows in part if rows is not None}


def same(some: dict[int, Rows], others: dict[int, Rows]) -> bool:
    return some.keys() == others.keys() and all(
        np.array_equal(rows[tap], others[image_id][tap])
        for image_id, rows in some.items()
        for tap in rows
    )


@pytest.mark.parametrize("by_region", [False, True])
def test_an_image_has_the_same_bits_alone_and_among_others(
    search: SearchEngine, store: Store, by_region: bool
) -> None:
    together = rows_of(TapVectors(search.collection), all_infos(store), by_region=by_region)
    assert len(together) == IMAGES
    vectors = TapVectors(search.collection)
    for info in reversed(all_infos(store)):
        (store.derived.path / "0" / f"{info.id}-{TAPS}").unlink(missing_ok=True)
        alone = rows_of(vectors, [info], by_region=by_region)
        assert same(alone, {info.id: together[info.id]}), info.path


def test_the_second_question_describes_its_query_only(search: SearchEngine) -> None:
    lab = LayerLab(search.collection)
    first = counted(lab)
    found = lab.rank(Query(image_id=3), range(1, IMAGES + 1), 5)
    assert first.count == IMAGES + 1
    again = LayerLab(search.collection)  # as another process has it
    second = counted(again)
    assert again.rank(Query(image_id=3), range(1, IMAGES + 1), 5) == found
    assert second.count == 1


def test_windows_are_described_once_in_a_process(search: SearchEngine) -> None:
    lab = LayerLab(search.collection)
    engine = counted(lab)
    query = Query(image_id=3, search="region")
    found = lab.rank(query, range(1, IMAGES + 1), 5)
    before = engine.count
    assert lab.rank(query, range(1, IMAGES + 1), 5) == found
    assert engine.count == before + 1
    assert not [*search.store.derived.path.rglob(f"*-{TAPS}")]


def test_a_smaller_pool_ranks_its_images_alike(search: SearchEngine) -> None:
    lab = LayerLab(search.collection)
    query, few = Query(image_id=3), [2, 3, 5, 8, 13]
    whole = lab.rank(query, range(1, IMAGES + 1), IMAGES)
    for tap, among in zip(lab.rank(query, few, IMAGES), whole, strict=True):
        expected = [(hit.image_id, hit.score) for hit in among.hits if hit.image_id in few]
        assert [(hit.image_id, hit.score) for hit in tap.hits] == expected, tap.tap


@pytest.mark.parametrize(
    "change",
    [
        lambda data: bytes(32) + data[32:][::-1],
        lambda data: data[:-4],
        lambda data: data + bytes(4),
        lambda _: b"",
    ],
    ids=["of another network", "too short", "too long", "empty"],
)
def test_what_does_not_fit_is_described_again(
    search: SearchEngine, store: Store, change: Callable[[bytes], bytes]
) -> None:
    infos = all_infos(store)[:2]
    vectors = TapVectors(search.collection)
    expected = rows_of(vectors, infos, by_region=False)
    kept = store.derived.read(TAPS, infos[0].id)
    assert kept is not None
    assert store.derived.write(TAPS, change(kept), infos[0].id)
    assert same(rows_of(vectors, infos, by_region=False), expected)
    assert store.derived.read(TAPS, infos[0].id) == kept


def test_a_damaged_file_is_described_again(search: SearchEngine, store: Store) -> None:
    [info, *_] = all_infos(store)
    vectors = TapVectors(search.collection)
    expected = rows_of(vectors, [info], by_region=False)
    place = store.derived.path / "0" / f"{info.id}-{TAPS}"
    whole = place.read_bytes()
    place.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    assert same(rows_of(vectors, [info], by_region=False), expected)
    assert place.read_bytes() == whole


def test_another_spec_has_vectors_of_its_own(search: SearchEngine, store: Store) -> None:
    infos = all_infos(store)[:1]
    first = rows_of(TapVectors(search.collection), infos, by_region=False)
    spec = replace(store.spec, pooling="mac")
    other = SearchEngine(store, extractor=FeatureExtractor(spec)).collection
    other._extractor = FeatureExtractor(spec)
    assert not same(rows_of(TapVectors(other), infos, by_region=False), first)
    assert same(rows_of(TapVectors(search.collection), infos, by_region=False), first)


def test_vectors_go_with_their_image(search: SearchEngine, store: Store) -> None:
    infos = all_infos(store)[:2]
    rows_of(TapVectors(search.collection), infos, by_region=False)
    store.remove([infos[0].id])
    assert store.derived.read(TAPS, infos[0].id) is None
    assert store.derived.read(TAPS, infos[1].id) is not None


@pytest.mark.parametrize("by_region", [False, True])
def test_missing_and_replaced_files_are_left_out(
    search: SearchEngine, store: Store, by_region: bool
) -> None:
    infos = all_infos(store)
    vectors = TapVectors(search.collection)
    rows_of(vectors, infos[:2], by_region=by_region)
    for info in (infos[0], infos[5]):
        Path(str(info.path)).unlink()
    Image.fromarray(noise(50, 64, 64)).save(str(infos[6].path))
    found = rows_of(vectors, infos, by_region=by_region)
    assert sorted({info.id for info in infos} - found.keys()) == [
        infos[place].id for place in (0, 5, 6)
    ]


def test_a_store_that_cannot_be_written_is_described_each_time(
    search: SearchEngine, store: Store
) -> None:
    infos = all_infos(store)[:2]
    store.derived.path.write_text("in its place", "utf-8")
    vectors = TapVectors(search.collection)
    first = rows_of(vectors, infos, by_region=False)
    assert len(first) == 2
    assert same(rows_of(vectors, infos, by_region=False), first)


def test_progress_ends_at_the_end(search: SearchEngine) -> None:
    told: list[tuple[int, int]] = []

    def tell(step: str, done: int, total: int, *, failed: int = 0) -> None:
        assert (step, failed) == ("Describing images", 0)
        told.append((done, total))

    lab = LayerLab(search.collection)
    pool = range(1, IMAGES + 1)
    lab.rank(Query(image_id=1), pool, k=1, progress=tell)
    assert told == [(BATCH, IMAGES), (IMAGES, IMAGES)]
    told.clear()
    lab.rank(Query(image_id=1), pool, k=1, progress=tell)
    assert told == [(IMAGES, IMAGES)]
