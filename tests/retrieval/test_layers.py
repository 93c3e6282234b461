from __future__ import annotations

from pathlib import Path

import pytest

from indexer.build import Builder
from indexer.choices import Scope
from indexer.errors import UnreadableImageError
from indexer.features.extractor import FeatureExtractor
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.layers import LayerLab
from retrieval.query import Query
from tests.pictures import PHOTOS, photo
from tests.sample import MANIFEST, SCENES, Sample, is_centred_in

KINDS = {"stage2": "conv", "stage4": "conv", "stage6": "conv", "head": "conv", "fc": "fc"}


@pytest.fixture(scope="module")
def lab(sample: Sample) -> LayerLab:
    return LayerLab(sample.search.collection)


def id_of(sample: Sample, name: str) -> int:
    info = sample.store.find_image(sample.path(name))
    assert info is not None
    return info.id


def everything(sample: Sample) -> list[int]:
    return sorted(known.id for known in sample.store.known_files().values())


@pytest.mark.parametrize("search", ["image", "region"])
def test_an_image_of_the_store_is_its_own_nearest_under_every_tap(
    sample: Sample, lab: LayerLab, search: Scope
) -> None:
    image_id = id_of(sample, "coffee-2.jpg")
    found = lab.rank(Query(image_id=image_id, search=search), everything(sample), k=5)
    assert {tap.tap: tap.kind for tap in found} == KINDS
    assert [tap.tap for tap in found] == list(KINDS)
    for tap in found:
        assert [hit.rank for hit in tap.hits] == [1, 2, 3, 4, 5]
        assert tap.hits[0].image_id == image_id
        assert tap.hits[0].score == pytest.approx(1, abs=1e-3)
        scores = [hit.score for hit in tap.hits]
        assert scores == sorted(scores, reverse=True)
        assert all(-1 <= score <= 1 for score in scores)
        assert all(
            (hit.region is not None) == (search == "region" and tap.kind == "conv")
            for hit in tap.hits
        )


def test_the_last_taps_find_the_query_s_own_group(sample: Sample, lab: LayerLab) -> None:
    found = lab.rank(Query(path=sample.path("coffee-2.jpg")), everything(sample), k=5)
    for tap in found[-2:]:
        names = {hit.path.name for hit in tap.hits}
        assert len(names & set(MANIFEST["groups"]["coffee"])) >= 4, tap.tap


def test_boxes_lie_in_their_images_and_on_the_subject(sample: Sample, lab: LayerLab) -> None:
    scene, other = "scene-cat-on-grass.jpg", "scene-cat-on-bricks.jpg"
    query = Query(path=sample.path(scene), box=SCENES[scene]["cat"], search="region")
    for tap in lab.rank(query, everything(sample), k=100):
        if tap.kind == "fc":
            assert all(hit.region is None for hit in tap.hits)
            continue
        for hit in tap.hits:
            assert hit.region is not None
            hit.region.require_inside(*sample.size(hit.path.name))
        if tap.tap == "head":
            [hit] = [hit for hit in tap.hits if hit.path.name == other]
            assert is_centred_in(hit.region, SCENES[other]["cat"])


def test_the_pool_holds_the_nearest_and_others(sample: Sample, lab: LayerLab) -> None:
    query = Query(image_id=id_of(sample, "cat-1.jpg"))
    pool = lab.pool(query, 30)
    assert pool == sorted(set(pool))
    assert len(pool) <= 30
    assert {id_of(sample, name) for name in MANIFEST["groups"]["cat"]} <= set(pool)


def test_others_of_the_pool_are_the_same_for_all_questions(sample: Sample, lab: LayerLab) -> None:
    known = everything(sample)
    others = {known[round(place)] for place in (0, (len(known) - 1) / 2, len(known) - 1)}
    for image_id in (known[7], known[-9]):
        assert others <= set(lab.pool(Query(image_id=image_id), 8))


@pytest.mark.parametrize("size", [1, 2, 10, 75, 240])
def test_the_pool_respects_its_size(sample: Sample, lab: LayerLab, size: int) -> None:
    pool = lab.pool(Query(path=sample.path("cat-1.jpg"), search="region", rerank=True), size)
    assert 1 <= len(pool) <= size
    assert set(pool) <= set(everything(sample))


@pytest.mark.parametrize("spare", [0, 1, 20, 1000])
def test_the_pool_of_a_small_collection_is_all_of_it(
    sample: Sample, lab: LayerLab, spare: int
) -> None:
    known = everything(sample)
    assert lab.pool(Query(image_id=known[0]), len(known) + spare) == known


def test_the_pool_respects_what_is_allowed(sample: Sample, lab: LayerLab) -> None:
    allowed = frozenset(everything(sample)[20:30])
    query = Query(path=sample.path("cat-1.jpg"), allowed=allowed)
    assert set(lab.pool(query, 240)) == allowed
    assert set(lab.pool(query, 4)) < allowed
    assert lab.pool(Query(path=sample.path("cat-1.jpg"), allowed=frozenset())) == []


def test_an_unusable_query_image(lab: LayerLab, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError):
        lab.rank(Query(path=tmp_path / "nowhere.jpg"), [1])


def test_ids_that_the_store_does_not_know_are_passed_over(sample: Sample, lab: LayerLab) -> None:
    [first, second, *_] = everything(sample)
    for tap in lab.rank(Query(image_id=first), [second, 10**6, first]):
        assert [hit.image_id for hit in tap.hits] == [first, second]


@pytest.fixture
def photos(tmp_path: Path, lite0: FeatureExtractor) -> Path:
    for name in PHOTOS:
        (tmp_path / "photos").mkdir(exist_ok=True)
        photo(name).resize((160, 120)).save(tmp_path / "photos" / f"{name}.png")
    store = Store.create(tmp_path / ".cbir", lite0.spec)
    Builder(store, lambda: lite0).run([tmp_path / "photos"])
    store.close()
    return tmp_path / "photos"


@pytest.mark.parametrize("gone", [PHOTOS[:1], PHOTOS])
def test_images_whose_files_are_gone_are_passed_over(
    photos: Path, lite0: FeatureExtractor, gone: tuple[str, ...]
) -> None:
    store = Store.open(photos.parent / ".cbir")
    search = SearchEngine(store, extractor=lite0)
    data = (photos / "coffee.png").read_bytes()
    for name in gone:
        (photos / f"{name}.png").unlink()
    told: list[tuple[int, int]] = []

    def tell(step: str, done: int, total: int, *, failed: int = 0) -> None:
        assert (step, failed) == ("Describing images", 0)
        told.append((done, total))

    lab = LayerLab(search.collection)
    pool = lab.pool(Query(data=data))
    for tap in lab.rank(Query(data=data), pool, progress=tell):
        assert {hit.path.stem for hit in tap.hits} == set(PHOTOS) - set(gone)
    assert told[-1] == (4, 4)
    store.close()
