"""Votes of keypoints: which images share some that lie alike."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from indexer.features.local import LocalFeatures, find_local_features
from retrieval.duplicates.keypoint_hash import KeypointHash
from retrieval.duplicates.keypoint_index import MIN_VOTES, KeypointIndex, largest_keypoints
from tests.pictures import PHOTOS, photo

SIZE = (480, 360)


def features_of(picture: Image.Image) -> LocalFeatures:
    return find_local_features(np.asarray(picture))


@pytest.fixture(scope="module")
def known() -> dict[int, LocalFeatures]:
    pictures = [photo(name).resize(SIZE) for name in PHOTOS]
    bricks = photo("brick").resize(SIZE)
    return dict(enumerate([features_of(p) for p in (*pictures, bricks)], 1))


@pytest.fixture(scope="module")
def hashing(known: dict[int, LocalFeatures]) -> KeypointHash:
    return KeypointHash.learn(known.values(), sum(map(len, known.values())))


@pytest.fixture(scope="module")
def index(known: dict[int, LocalFeatures], hashing: KeypointHash) -> KeypointIndex:
    return KeypointIndex(hashing, known.items())


def votes_for(index: KeypointIndex, picture: Image.Image) -> dict[int, int]:
    found = index.vote(features_of(picture), 10)
    return dict(zip(found.images.tolist(), found.counts.tolist(), strict=True))


def test_a_query_looks_into_its_own_cell_among_others(
    known: dict[int, LocalFeatures], hashing: KeypointHash
) -> None:
    cells, signatures = hashing.encode(known[1])
    tried, own = hashing.encode_query(known[1])
    assert (own == signatures).all()
    assert (tried == cells[:, None]).sum(axis=1).tolist() == [1] * len(cells)
    assert all(len({*row}) == tried.shape[1] for row in tried.tolist())
    assert 0 <= tried.min() <= tried.max() < 1 << hashing.bits


@pytest.mark.parametrize("degrees", [0, 30, 90, 180, 270])
def test_a_turned_photo_votes_for_itself(index: KeypointIndex, degrees: int) -> None:
    for image_id, name in enumerate(PHOTOS, 1):
        turned = photo(name).resize(SIZE).rotate(degrees, expand=True)
        found = votes_for(index, turned)
        assert max(found, key=found.__getitem__) == image_id
        assert found[image_id] > 20


def test_a_photo_votes_for_the_one_that_it_is_pasted_into(
    known: dict[int, LocalFeatures], hashing: KeypointHash
) -> None:
    host = photo("rocket").resize(SIZE)
    host.paste(photo("chelsea").resize((160, 120)), (250, 60))
    index = KeypointIndex(hashing, [*known.items(), (9, features_of(host))])
    found = votes_for(index, photo("chelsea").resize(SIZE))
    assert found[9] >= MIN_VOTES
    assert set(found) == {2, 9}


def test_a_mirrored_photo_needs_mirrored_keypoints(index: KeypointIndex) -> None:
    mirrored = photo("coffee").resize(SIZE).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    found = index.vote(features_of(mirrored).mirrored(), 1)
    assert found.images.tolist() == [3]
    assert found.counts[0] > 20


def test_the_best_come_first_and_no_more_than_asked_for(index: KeypointIndex) -> None:
    found = index.vote(features_of(photo("astronaut").resize(SIZE)), 10)
    assert found.images[0] == 1
    assert (np.diff(found.counts) <= 0).all()
    assert (found.counts >= MIN_VOTES).all()
    assert len(index.vote(features_of(photo("astronaut").resize(SIZE)), 1).images) == 1


def test_an_empty_index_and_an_image_without_keypoints(
    hashing: KeypointHash, index: KeypointIndex, known: dict[int, LocalFeatures]
) -> None:
    empty = largest_keypoints(known[1], 0)
    assert len(KeypointIndex(hashing, []).vote(known[1], 5).images) == 0
    assert len(KeypointIndex(hashing, [(1, empty)]).vote(known[1], 5).images) == 0
    assert len(index.vote(empty, 5).images) == 0
