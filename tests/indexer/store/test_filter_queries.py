"""Filters find what a comparison one by one finds, in SQLite and in PostgreSQL."""

from __future__ import annotations

import datetime as dt
import operator
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.errors import InvalidFilterError
from indexer.features.extractor import ImageFeatures
from indexer.images.facts import ImageFacts
from indexer.store.filter_language import AllOf, AnyOf, Comparison, Condition, Negation
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.records import Entry, FileState
from indexer.store.store import Store
from indexer.store.tags import replace_tags, save_concept
from tests.catalogs import url_of
from tests.colour_grid import colour_spec

FOLDERS = ("", "2019/", "2019/Été/", "old/2019/", "2019-x/", "a%b/", "a_b/")
NAMES = ("cat.jpg", "Straße.JPG", "50%.png", "x_y.png", "photo[1].tif")
CAMERAS = (None, "X100", "x100s", "Pinhole É", "100%")
DATES = (None, *(dt.datetime(2019, 5, 1) + dt.timedelta(days=9 * n, hours=n) for n in range(9)))


def facts_of(number: int) -> ImageFacts:
    width = (100, 2000, 2001, 4000)[number % 4]
    camera, date = CAMERAS[number % len(CAMERAS)], DATES[number % len(DATES)]
    return ImageFacts(width, 300 + number, ("JPEG", "PNG")[number % 2], date, camera)


PATHS = [folder + name for folder in FOLDERS for name in NAMES]
FACTS = [facts_of(number) for number in range(len(PATHS))]
SIZES = [1000 * number for number in range(len(PATHS))]


def filled(store: Store) -> Store:
    """A store of images that are not there, the first five of which have a tag."""
    root = store.add_root(store.path.parent / "photos")
    vectors = np.ones((1, 8), np.float32)
    entries = [
        Entry(
            FileState(root, path, size, 20, b"h" * 32),
            facts,
            ImageFeatures({"conv": vectors, "fc": vectors}),
        )
        for path, facts, size in zip(PATHS, FACTS, SIZES, strict=True)
    ]
    with store.writing():
        store.commit(entries)
        save_concept(store, "cat", "{}")
        replace_tags(store, {"cat": dict.fromkeys(range(1, 6), 0.9)})
    return store


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL"])
def store(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("shelf")
    made = filled(Store.create(folder / ".cbir", colour_spec(), catalog_url=url_of(request)))
    yield made
    made.close()


def found(store: Store, where: str) -> list[str]:
    return [PATHS[i - 1] for i in find_ids(store, ImageFilter(where=where))]


@pytest.mark.parametrize(
    ("where", "paths"),
    [
        ("name:cat folder=2019", ["2019/cat.jpg", "2019/Été/cat.jpg"]),
        ("name:cat folder=2019/*", ["2019/cat.jpg", "2019/Été/cat.jpg"]),
        ("name:cat folder:2019", ["2019/cat.jpg", "2019/Été/cat.jpg", "old/2019/cat.jpg"]),
        ("name:cat folder:été", ["2019/Été/cat.jpg"]),
        ('name:cat folder:"20*"', [f"{f}cat.jpg" for f in FOLDERS if "2019" in f]),
        ("name=cat.JPG folder:a%b", ["a%b/cat.jpg"]),
        ("name:cat and folder:a?b", ["a%b/cat.jpg", "a_b/cat.jpg"]),
        ("path=2019/cat.jpg", ["2019/cat.jpg"]),
        ("name:50% path:2019-x/*", ["2019-x/50%.png"]),
        ("name:_ not folder:*", ["x_y.png"]),
        ("tag:cat name!=cat.jpg", [f"{name}" for name in NAMES[1:]]),
        ("not tag=cat and name:cat", [f"{f}cat.jpg" for f in FOLDERS[1:]]),
        ("size<=3kb not size<2000", PATHS[2:4]),
        ("pixels>=1MB", None),
        ("width>2000 width<=2001", PATHS[2::4]),
    ],
)
def test_examples(store: Store, where: str, paths: list[str] | None) -> None:
    if paths is None:
        with pytest.raises(InvalidFilterError, match="a number"):
            found(store, where)
    else:
        assert found(store, where) == paths


def test_a_folder_by_its_absolute_path(store: Store) -> None:
    photos = store.path.parent / "photos"
    assert found(store, f'folder:"{photos}/2019/Été"') == PATHS[10:15]
    assert found(store, f'folder="{photos}"') == PATHS
    assert found(store, f'not folder="{photos}"') == []
    assert found(store, 'folder="/elsewhere"') == []


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("colour:red", "no field 'colour'. There are: folder, date, tag, name"),
        ("tag:dog", "no tag 'dog'; there are cat"),
        ("width:wide", "a number, not with 'wide'"),
        ("width>1e400", "a number"),
        ("size>3 miles", "ends too early"),
        ("size>3m", "a size like 2.5MB"),
        ("date>2019-13", "like 2019, 2019-06 or 2019-06-30"),
        ("date:0", "like 2019"),
        ("camera>X", "is a text"),
        ("folder<2019", "is a text"),
    ],
)
def test_what_has_no_meaning_is_told(store: Store, where: str, why: str) -> None:
    with pytest.raises(InvalidFilterError, match=why):
        found(store, where)


# --- one by one -----------------------------------------------------------------------------------


def meets(number: int, condition: Condition) -> bool:
    """What a person would say of one image."""
    if isinstance(condition, Negation):
        return not meets(number, condition.part)
    if isinstance(condition, Comparison):
        return compares(number, condition)
    every = all if isinstance(condition, AllOf) else any
    return every(meets(number, part) for part in condition.parts)


def compares(number: int, asked: Comparison) -> bool:
    path, facts = PATHS[number], FACTS[number]
    if asked.field == "tag":
        return (number < 5) == (asked.operator != "!=")
    if asked.field in ("width", "size"):
        own = facts.width if asked.field == "width" else SIZES[number]
        return in_order(own, asked.operator, float(asked.value))
    if asked.field == "date":
        return facts.taken_at is not None and in_order(
            facts.taken_at.strftime("%Y-%m-%d")[: len(asked.value)], asked.operator, asked.value
        )
    own_text = {"name": path.rsplit("/", 1)[-1], "path": path, "camera": facts.camera}[asked.field]
    if own_text is None:
        return False
    text, value = own_text.casefold(), asked.value.casefold()
    if asked.operator == ":":
        value = value.replace("[", "[[]")
        return fnmatchcase(text, value if set("*?") & set(value) else f"*{value}*")
    return (text == value) == (asked.operator == "=")


def in_order(own: float | str, sign: str, value: float | str) -> bool:
    return bool(SIGNS.get(sign, operator.eq)(own, value))


SIGNS = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
}
ORDERS = st.sampled_from([":", "=", "!=", "<", "<=", ">", ">="])
SAME = st.sampled_from([":", "=", "!="])
WORDS = st.sampled_from(["cat", "CAT.jpg", "s", "%", "_", "*", "?", "x*0", "20*", "é", "[1]", "$"])
COMPARISONS = st.one_of(
    st.builds(Comparison, st.sampled_from(["name", "path", "camera"]), SAME, WORDS),
    st.builds(Comparison, st.just("width"), ORDERS, st.sampled_from(["100", "2000", "2.0e3"])),
    st.builds(Comparison, st.just("size"), ORDERS, st.sampled_from(["0", "5000", "9999"])),
    st.builds(
        Comparison, st.just("date"), ORDERS, st.sampled_from(["2019", "2019-05", "2019-06-15"])
    ),
    st.builds(Comparison, st.just("tag"), SAME, st.just("cat")),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds(Negation, inner),
        st.builds(AllOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


def spelled(condition: Condition) -> str:
    if isinstance(condition, Comparison):
        return f'{condition.field}{condition.operator}"{condition.value}"'
    if isinstance(condition, Negation):
        return f"not ({spelled(condition.part)})"
    word = " and " if isinstance(condition, AllOf) else " or "
    return word.join(f"({spelled(part)})" for part in condition.parts)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(condition=CONDITIONS)
def test_a_filter_finds_what_meets_it(store: Store, condition: Condition) -> None:
    expected = [path for number, path in enumerate(PATHS) if meets(number, condition)]
    assert found(store, spelled(condition)) == expected


def test_a_thousand_values_of_a_store_are_no_part_of_a_statement(store: Store) -> None:
    where = " or ".join(f"width={number}" for number in range(200))
    assert found(store, where) == PATHS[0::4]


def test_images_that_cannot_be_read_are_not_found(tmp_path: Path) -> None:
    with_failed = Store.create(tmp_path / ".cbir", colour_spec())
    root = with_failed.add_root(tmp_path)
    file = FileState(root, "a.jpg", 10, 20, b"h" * 32)
    with_failed.commit([Entry(file, facts_of(0), reason="is empty")])
    assert len(find_ids(with_failed, ImageFilter(where="name:a"))) == 0
    with_failed.close()
