from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from indexer.choices import Scope
from indexer.features.regions import Region
from retrieval.engine import SearchEngine
from retrieval.query import Hit, Query
from retrieval.rerank import geometric
from tests.desk import noisy_desk
from tests.sample import SCENES, Sample, holding, is_centred_in

FORMS = {"mirrored": ImageOps.mirror, "inverted": ImageOps.invert}


def names(hits: list[Hit]) -> list[str]:
    return [hit.path.name for hit in hits]


def proved(hits: list[Hit]) -> list[Hit]:
    return [hit for hit in hits if hit.inliers is not None]


@pytest.mark.parametrize("search", ["image", "region"])
@pytest.mark.parametrize("subject", ["cat", "coffee"])
def test_the_scenes_of_a_subject_are_proved_and_boxed(
    sample: Sample, subject: str, search: Scope
) -> None:
    query = Query(path=sample.path(f"{subject}-1.jpg"), search=search, verify=True, k=None)
    hits = sample.search.search(query)
    assert hits[0].path.name == f"{subject}-1.jpg"
    assert hits[0].verdict == "same picture"
    scenes = [hit for hit in proved(hits) if hit.path.name in SCENES]
    assert set(names(scenes)) <= holding(subject)
    assert scenes
    for hit in scenes:
        assert hit.verdict == "same object"
        assert hit.confidence == 1
        assert hit.quad is not None
        assert hit.region is not None
        # The outline is that of the picture, of which a scene holds a part.
        assert is_centred_in(hit.region, SCENES[hit.path.name][subject])
        assert hit.region.iou(SCENES[hit.path.name][subject]) > 0.45


def test_the_own_image_is_found_however_few_candidates_there_are(sample: Sample) -> None:
    path = sample.path("scene-cat-and-cup.jpg")
    box = Region(0, 0, 60, 50)  # a corner without either
    plain = Query(path=path, box=box, k=None)
    every = sample.search.search(plain)
    assert names(every)[0] == path.name
    assert every[0].score < every[1].score  # it would not be first by its score
    hits = sample.search.search(replace(plain, verify=True, candidates=1, k=3))
    assert names(hits)[0] == path.name
    others = frozenset(range(1, 500)) - {hits[0].image_id}
    elsewhere = sample.search.search(replace(plain, verify=True, candidates=1, allowed=others))
    assert path.name not in names(elsewhere)


@pytest.mark.parametrize("search", ["image", "region"])
def test_only_the_order_and_the_proved_boxes_change(sample: Sample, search: Scope) -> None:
    path = sample.path("coffee-2.jpg")
    plain = sample.search.search(Query(path=path, search=search, k=None))
    verified = sample.search.search(Query(path=path, search=search, k=None, verify=True))
    before = {hit.image_id: hit for hit in plain}
    assert len(verified) == len(plain)
    flags = [hit.inliers is not None for hit in verified]
    assert flags == sorted(flags, reverse=True)
    for hit in verified:
        assert hit.score == before[hit.image_id].score
    rest = [hit.image_id for hit in verified if hit.inliers is None]
    assert rest == [hit.image_id for hit in plain if hit.image_id in set(rest)]


def test_an_indexed_photo_is_first_for_itself_and_its_parts(sample: Sample) -> None:
    rng = np.random.default_rng(3)
    for name in sorted(SCENES)[:4]:
        width, height = sample.size(name)
        for _ in range(3):
            x, y = int(rng.integers(0, width - 50)), int(rng.integers(0, height - 50))
            box = Region(x, y, int(rng.integers(x + 40, width)), int(rng.integers(y + 40, height)))
            for rerank in (False, True):
                query = Query(path=sample.path(name), box=box, search="region", k=1)
                [hit] = sample.search.search(replace(query, verify=not rerank, rerank=rerank))
                assert hit.path.name == name
                assert hit.verdict == "same object"


@pytest.mark.parametrize("turn", [90, 180, 270, "mirrored", "inverted"])
def test_turned_and_mirrored_copies_are_proved(
    sample: Sample, tmp_path: Path, turn: int | str
) -> None:
    with Image.open(sample.path("cat-1.jpg")) as image:
        copy = FORMS[turn](image) if isinstance(turn, str) else image.rotate(turn, expand=True)
    copy.save(tmp_path / "copy.png")
    hits = sample.search.search(Query(path=tmp_path / "copy.png", verify=True, k=5))
    assert {name[:4] for name in names(hits)} <= {"cat-", "scen"}
    [own] = [hit for hit in hits if hit.path.name == "cat-1.jpg"]
    assert own.verdict == "same picture"
    assert own.mirrored == (turn == "mirrored")
    assert own.inverted == (turn == "inverted")


def test_alone_and_together_the_same(sample: Sample) -> None:
    queries = [
        Query(path=sample.path(f"{name}-1.jpg"), search="region", verify=True, k=8)
        for name in ("cat", "coffee", "rocket", "coins")
    ]
    together = sample.search.search_many(queries)
    again = SearchEngine(sample.store, extractor=sample.search.collection.extractor)
    assert [again.search(query) for query in reversed(queries)][::-1] == together


def test_a_copy_of_the_file_is_the_same_picture(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path, count=20)
    Image.new("RGB", (64, 48), (90, 120, 40)).save(desk.photos / "plain.png")
    (desk.photos / "copy.png").write_bytes((desk.photos / "plain.png").read_bytes())
    desk.index()
    hits = desk.search().search(Query(path=desk.photos / "plain.png", verify=True, k=3))
    assert sorted(names(hits)[:2]) == ["copy.png", "plain.png"]
    assert [hit.verdict for hit in hits[:2]] == ["same picture"] * 2
    assert [hit.inliers for hit in hits[:2]] == [None, None]  # there is nothing to see in it
    desk.store.close()


@pytest.mark.parametrize("search", ["image", "region"])
@pytest.mark.parametrize("verify", [False, True])
def test_an_image_of_the_store_and_its_file_have_the_same_copies(
    tmp_path: Path, search: Scope, verify: bool
) -> None:
    desk = noisy_desk(tmp_path, count=20)
    asked = desk.photos / "7.png"
    (desk.photos / "a copy.png").write_bytes(asked.read_bytes())
    desk.index()
    engine = desk.search()
    by_file = Query(path=asked, search=search, verify=verify, k=4)
    by_id = replace(by_file, path=None, image_id=desk.id_of("7.png"))
    for query in (by_file, by_id):
        hits = engine.search(query)
        assert sorted(names(hits)[:2]) == ["7.png", "a copy.png"]
        assert [hit.verdict for hit in hits[:2]] == ["same picture"] * 2
        assert "same picture" not in [hit.verdict for hit in hits[2:]]
    few = replace(by_id, allowed={desk.id_of("a copy.png"), desk.id_of("3.png")})
    assert names(engine.search(few)) == ["a copy.png", "3.png"]
    desk.store.close()


@pytest.mark.parametrize("candidates", [1, 3])
def test_only_the_candidates_are_looked_at(tmp_path: Path, candidates: int) -> None:
    desk = noisy_desk(tmp_path, count=8)
    search = desk.search()
    search.search(Query(path=desk.photos / "0.png", verify=True, candidates=candidates, k=None))
    kept = list(desk.store.derived.path.rglob("*-keypoints-*.bin"))
    assert len(kept) == candidates
    desk.store.close()


def test_both_lists_of_a_whole_picture_are_looked_at_while_proofs_come(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path, count=9)

    def looked_at(box: Region | None = None) -> int:
        for file in desk.store.derived.path.rglob("*-keypoints-*.bin"):
            file.unlink()
        query = Query(path=desk.photos / "0.png", box=box, search="region", candidates=4, k=None)
        desk.search().search(replace(query, verify=True))
        return len(list(desk.store.derived.path.rglob("*-keypoints-*.bin")))

    def add_a_copy(side: int) -> None:
        with Image.open(desk.photos / "0.png") as image:
            copy = image.resize((side, side), Image.Resampling.LANCZOS)
        copy.save(desk.photos / f"{side} pixels.png")
        desk.index()

    assert looked_at() == 8
    assert looked_at(Region(0, 0, 60, 60)) == 4
    add_a_copy(160)
    assert looked_at() == 4
    add_a_copy(240)
    assert looked_at() == 8
    desk.store.close()


def test_no_candidate_is_compared_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def find(_keypoints: object, images: list[object], forms: list[int]) -> list[None]:
        compared.extend(forms)
        return [None] * len(images)

    monkeypatch.setattr(geometric, "_find_matches", find)
    monkeypatch.setattr(geometric, "MIRRORED", 3)
    monkeypatch.setattr(geometric, "INVERTED", 6)
    desk = noisy_desk(tmp_path, count=10)
    query = Query(path=desk.photos / "0.png", search="region", rerank=True, k=None)
    desk.search().search(query)
    assert compared == [3] * 3 + [2] * 3 + [1] * 4
    desk.store.close()


def test_a_photo_that_is_gone_is_not_proved(tmp_path: Path) -> None:
    desk = noisy_desk(tmp_path, count=6)
    asked = (desk.photos / "2.png").read_bytes()
    with Image.open(desk.photos / "2.png") as image:
        image.resize((200, 160)).save(tmp_path / "larger.png")
    (desk.photos / "2.png").unlink()
    hits = desk.search().search(Query(path=tmp_path / "larger.png", verify=True))
    assert proved(hits) == []
    hits = desk.search().search(Query(data=asked, verify=True))
    assert hits[0].path.name == "2.png"  # its bytes are known
    desk.store.close()
