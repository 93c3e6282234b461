from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.build import index_photos
from indexer.keypoints import keypoints_of, update_keypoints
from indexer.store.layout import KEYPOINTS
from indexer.store.local_features import has_local_features, read_local_features
from indexer.store.store import Store
from tests.desk import Desk, noisy_desk
from tests.pictures import noise


def kept(desk: Desk) -> list[str]:
    return [name for name in desk.paths() if has_local_features(desk.store, desk.id_of(name))]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return noisy_desk(tmp_path, count=4)


def test_they_are_kept_on_request_only(desk: Desk) -> None:
    index_photos(desk.store, [desk.photos], desk.extractor)
    assert kept(desk) == []
    desk.store.keep_keypoints(True)
    index_photos(desk.store, [desk.photos], desk.extractor)
    assert kept(desk) == desk.paths()
    Image.fromarray(noise(99, 90, 70)).save(desk.photos / "new.png")
    index_photos(desk.store, [desk.photos], desk.extractor)
    assert "new.png" in kept(desk)


def test_what_is_read_is_what_was_found(desk: Desk) -> None:
    info = desk.store.find_image(desk.photos / "1.png")
    assert info is not None
    found = keypoints_of(desk.store, info)
    again = read_local_features(desk.store, info.id, (info.width, info.height))
    assert found is not None
    assert again is not None
    assert len(found) > 0
    np.testing.assert_array_equal(found.points, again.points)
    np.testing.assert_array_equal(found.descriptors, again.descriptors)
    assert found.size == again.size


def test_they_go_with_the_image(desk: Desk) -> None:
    update_keypoints(desk.store)
    image_id = desk.id_of("2.png")
    (desk.photos / "2.png").unlink()
    index_photos(desk.store, [desk.photos], desk.extractor)
    assert not has_local_features(desk.store, image_id)
    folder = desk.store.path
    desk.store.close()
    Store.delete(folder)
    assert not folder.exists()


def derived_file(desk: Desk, image_id: int) -> Path:
    return desk.store.derived.path / str(image_id // 1000) / f"{image_id}-{KEYPOINTS}"


@pytest.mark.parametrize(
    "damage", [b"", b"no keypoints", b"cbir-kp1\xff\xff\xff\xff\xff\xff\xff\xff"]
)
def test_a_damaged_file_is_made_again(desk: Desk, damage: bytes) -> None:
    info = desk.store.find_image(desk.photos / "0.png")
    assert info is not None
    file = derived_file(desk, info.id)
    before = keypoints_of(desk.store, info)
    file.write_bytes(damage)
    after = keypoints_of(desk.store, info)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before.points, after.points)
    assert file.stat().st_size > len(damage)


def test_a_file_cut_short_is_not_read(desk: Desk) -> None:
    info = desk.store.find_image(desk.photos / "0.png")
    assert info is not None
    keypoints_of(desk.store, info)
    file = derived_file(desk, info.id)
    size = info.width, info.height
    whole = file.read_bytes()
    for length in (3, 16, len(whole) - 144, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert read_local_features(desk.store, info.id, size) is None
    file.write_bytes(whole)
    assert read_local_features(desk.store, info.id, size) is not None


def test_a_missing_or_replaced_photo_has_none(desk: Desk) -> None:
    missing = desk.store.find_image(desk.photos / "0.png")
    replaced = desk.store.find_image(desk.photos / "1.png")
    (desk.photos / "0.png").unlink()
    Image.new("RGB", (3, 2)).save(desk.photos / "1.png")
    for info in (missing, replaced):
        assert info is not None
        assert keypoints_of(desk.store, info) is None
        assert not has_local_features(desk.store, info.id)
    update_keypoints(desk.store)
    assert kept(desk) == ["2.png", "3.png"]


def test_an_interruption_keeps_what_was_found(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.keypoints.PART", 1)
    with pytest.raises(KeyboardInterrupt):
        update_keypoints(desk.store, stop=lambda: len(kept(desk)) == 2)
    assert len(kept(desk)) == 2
    totals: list[int] = []

    def progress(step: str, done: int, total: int, *, failed: int = 0) -> None:
        del step, done, failed
        totals.append(total)

    update_keypoints(desk.store, progress)
    assert set(totals) == {2}
    assert kept(desk) == desk.paths()
