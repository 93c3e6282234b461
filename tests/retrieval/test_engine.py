from __future__ import annotations

from pathlib import Path

import pytest
from PIL import ExifTags, Image

from indexer.build import Builder
from indexer.choices import TapKind
from indexer.errors import (
    InvalidQueryError,
    InvalidRegionError,
    StoreNotFoundError,
    UnreadableImageError,
)
from indexer.features.extractor import FeatureExtractor
from indexer.features.regions import Region
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.query import Hit, Query
from tests.colour_grid import colour_extractor
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, ORANGE, PHOTOS, RED, photo, plain

COLOURS = {"red": RED, "orange": ORANGE, "green": GREEN, "blue": BLUE}
LEFT, RIGHT = Region(0, 0, 40, 60), Region(40, 0, 80, 60)


@pytest.fixture
def filled(desk: Desk) -> Desk:
    for name, colour in COLOURS.items():
        plain(desk.photos / f"{name}.png", colour)
    desk.index()
    return desk


@pytest.fixture
def search(filled: Desk) -> SearchEngine:
    return SearchEngine(filled.store, extractor=colour_extractor())


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """A query picture, red on its left and blue on its right."""
    image = Image.new("RGB", (80, 60), RED)
    image.paste(BLUE, RIGHT.as_tuple())
    image.save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


def names(hits: list[Hit]) -> list[str]:
    return [hit.path.stem for hit in hits]


def test_hits_come_in_the_order_a_person_expects(search: SearchEngine, filled: Desk) -> None:
    hits = search.search(Query(path=filled.photos / "red.png"))
    assert names(hits)[:2] == ["red", "orange"]
    assert [hit.rank for hit in hits] == [1, 2, 3, 4]
    assert hits[0].score == pytest.approx(1, abs=1e-3)
    assert all(hit.score <= 1 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].path == filled.photos / "red.png"
    assert hits[0].region is None


@pytest.mark.parametrize(("k", "count"), [(1, 1), (3, 3), (100, 4), (None, 4)])
def test_k(search: SearchEngine, filled: Desk, k: int | None, count: int) -> None:
    assert len(search.search(Query(path=filled.photos / "red.png", k=k))) == count


def test_fc_features_see_where_a_colour_is(desk: Desk, halves: Path) -> None:
    swapped = Image.open(halves).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    swapped.save(desk.photos / "swapped.png")
    Image.open(halves).save(desk.photos / "zz-same.png")
    desk.index()
    search = SearchEngine(desk.store, extractor=colour_extractor())
    conv = search.search(Query(path=halves, feature="conv"))
    fc = search.search(Query(path=halves, feature="fc"))
    assert conv[0].score == pytest.approx(conv[1].score, abs=2e-3)
    assert names(fc) == ["zz-same", "swapped"]
    assert fc[1].score < 0.9


def test_only_allowed_images_are_searched(search: SearchEngine, filled: Desk) -> None:
    allowed = frozenset({filled.id_of("blue.png"), filled.id_of("green.png")})
    red = filled.photos / "red.png"
    hits = search.search(Query(path=red, k=3, allowed=allowed))
    assert {hit.image_id for hit in hits} == allowed
    assert [hit.rank for hit in hits] == [1, 2]
    assert len(search.search(Query(path=red, k=1, allowed=allowed))) == 1
    assert search.search(Query(path=red, allowed=frozenset())) == []
    assert search.search(Query(path=red, allowed=frozenset({10**6}))) == []


def test_bytes_of_an_image(search: SearchEngine, filled: Desk) -> None:
    data = (filled.photos / "green.png").read_bytes()
    assert names(search.search(Query(data=data, k=1))) == ["green"]


def test_an_image_of_the_store(search: SearchEngine, filled: Desk) -> None:
    query = Query(image_id=filled.id_of("orange.png"), k=1)
    (filled.photos / "orange.png").unlink()  # its vectors are enough
    [hit] = search.search(query)
    assert hit.path.stem == "orange"
    assert hit.score == pytest.approx(1, abs=1e-3)


def test_a_box_in_an_image_of_the_store(desk: Desk, halves: Path) -> None:
    Image.open(halves).save(desk.photos / "halves.png")
    plain(desk.photos / "red.png", RED)
    plain(desk.photos / "blue.png", BLUE)
    desk.index()
    search = SearchEngine(desk.store, extractor=colour_extractor())
    image_id = desk.id_of("halves.png")
    left, right = (
        names(search.search(Query(image_id=image_id, box=box, k=2))) for box in (LEFT, RIGHT)
    )
    assert (left, right) == (["halves", "red"], ["halves", "blue"])  # its own picture is first


@pytest.mark.parametrize("box", [None, LEFT])
def test_an_image_that_is_not_in_the_store(search: SearchEngine, box: Region | None) -> None:
    with pytest.raises(InvalidQueryError, match="no image 4711"):
        search.search(Query(image_id=4711, box=box))


def test_a_box_is_cut_out_of_the_query(search: SearchEngine, halves: Path) -> None:
    assert names(search.search(Query(path=halves, box=LEFT, k=1))) == ["red"]
    assert names(search.search(Query(path=halves, box=RIGHT, k=1))) == ["blue"]
    assert len(search.search(Query(path=halves, box=Region(79, 59, 80, 60)))) == 4


def test_a_box_means_the_upright_image(search: SearchEngine, tmp_path: Path, halves: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3  # stored upside down
    turned = tmp_path / "turned.jpg"
    Image.open(halves).transpose(Image.Transpose.ROTATE_180).save(turned, exif=exif)
    assert names(search.search(Query(path=turned, box=LEFT, k=1))) == ["red"]


@pytest.mark.parametrize("box", [Region(0, 0, 81, 60), Region(0, 0, 80, 61), Region(90, 0, 99, 9)])
def test_a_box_outside_the_image(search: SearchEngine, halves: Path, box: Region) -> None:
    with pytest.raises(InvalidRegionError, match=f"{box}.*80 × 60"):
        search.search(Query(path=halves, box=box))


def test_unusable_query_images(search: SearchEngine, tmp_path: Path) -> None:
    for query in (Query(path=tmp_path / "nowhere.jpg"), Query(data=b""), Query(path=tmp_path)):
        with pytest.raises(UnreadableImageError):
            search.search(query)


def test_images_removed_meanwhile_are_no_hits(search: SearchEngine, filled: Desk) -> None:
    query = Query(path=filled.photos / "red.png")
    search.search(query)
    filled.store.remove([filled.id_of("orange.png")])
    hits = search.search(query)
    assert "orange" not in names(hits)
    assert [hit.rank for hit in hits] == [1, 2, 3]


def test_a_store_emptied_of_images_answers_with_no_hits(filled: Desk) -> None:
    filled.store.remove([known.id for known in filled.store.known_files().values()])
    search = SearchEngine(filled.store, extractor=colour_extractor())
    assert search.search(Query(path=filled.photos / "red.png", k=None)) == []


def test_the_same_query_gives_the_same_answer(search: SearchEngine, filled: Desk) -> None:
    query = Query(path=filled.photos / "red.png")
    assert search.search(query) == search.search(query)


def test_open_finds_the_store(here: Path, filled: Desk) -> None:
    assert SearchEngine.open(filled.store.path).store.path == filled.store.path
    with pytest.raises(StoreNotFoundError):
        SearchEngine.open(here)


def test_threads_of_an_engine_share_free_memory(
    filled: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bool] = []
    monkeypatch.setattr("retrieval.loaded.share_free_memory", lambda: calls.append(True))
    SearchEngine.open(filled.store.path)
    assert calls == [True]


def test_open_without_a_store(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("bare"))
        with pytest.raises(StoreNotFoundError, match="cbir index PHOTOS"):
            SearchEngine.open()


@pytest.mark.parametrize("feature", ["conv", "fc"])
def test_photos_find_themselves_with_the_real_network(
    tmp_path: Path, lite0: FeatureExtractor, feature: TapKind
) -> None:
    (tmp_path / "photos").mkdir()
    for name in PHOTOS:
        photo(name).save(tmp_path / "photos" / f"{name}.png")
        photo(name).resize((300, 200)).save(tmp_path / f"small-{name}.jpg", quality=60)
    store = Store.create(tmp_path / ".cbir", lite0.spec)
    Builder(store, lambda: lite0).run([tmp_path / "photos"])
    search = SearchEngine(store, extractor=lite0)
    for name in PHOTOS:
        query = Query(path=tmp_path / "photos" / f"{name}.png", feature=feature)
        first, second, *_ = search.search(query)
        assert (first.path.stem, second.score < first.score) == (name, True)
        assert first.score >= 0.999
        small = Query(path=tmp_path / f"small-{name}.jpg", feature=feature, k=1)
        assert names(search.search(small)) == [name]
    store.close()
