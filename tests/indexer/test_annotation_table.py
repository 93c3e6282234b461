"""Tables of annotations are read as people's programs write them, and joined by path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from indexer.annotation_table import apply_table, read_table
from indexer.errors import AnnotationError, StoreLockedError
from indexer.store.annotations import read_annotations
from indexer.store.store import Store
from retrieval.query import Query
from tests.colour_grid import colour_spec
from tests.desk import Desk
from tests.pictures import noise

NAMES = ("a.png", "b.png", "sub/a.png", "sub/ü x.png")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    for seed, name in enumerate(NAMES):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(seed, 40, 40)).save(tmp_path / "photos" / name)
    desk = Desk(tmp_path / "photos", Store.create(tmp_path / ".cbir", colour_spec()))
    desk.index()
    yield desk
    desk.store.close()


def written(desk: Desk, content: str | bytes, place: str = "table.csv") -> Path:
    file = desk.photos.parent / place
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


def titles(desk: Desk) -> dict[str, str]:
    said = read_annotations(desk.store).get("title", {})
    return {name: said[desk.id_of(name)] for name in NAMES if desk.id_of(name) in said}


@pytest.mark.parametrize(
    "content",
    [
        "path,title\na.png,One\nsub/ü x.png,Two\n",
        "\ufeffpath;title\r\na.png;One\r\n\r\nsub/ü x.png;Two\r\n",
        'Title\tFILENAME\nOne\ta.png\n"Two"\tsub\\ü x.png\n',
        "photo|title\n ./a.png | One \nsub/../sub/ü x.png|Two",
        'path,title\na.png,"O\nne"\nsub/ü x.png,Two\n'.replace("O\nne", "One"),
    ],
)
def test_what_programs_write(desk: Desk, content: str) -> None:
    report = apply_table(desk.store, read_table(written(desk, content)))
    assert (report.images, report.unknown, report.repeated) == (2, [], 0)
    assert {name.casefold() for name in report.fields} == {"title"}
    said = read_annotations(desk.store)
    assert {text for values in said.values() for text in values.values()} == {"One", "Two"}


def test_paths_are_found_where_they_may_be_meant(desk: Desk) -> None:
    table = (
        f"path,title\n{desk.photos / 'a.png'},absolute\nb.png,below the folder\n"
        "a.png,beside the table\nnone.png,nothing\n/a.png,nothing\n,nothing\n"
    )
    report = apply_table(desk.store, read_table(written(desk, table, "photos/sub/table.csv")))
    assert titles(desk) == {
        "a.png": "absolute",
        "b.png": "below the folder",
        "sub/a.png": "beside the table",
    }
    assert report.unknown == [(5, "none.png"), (6, "/a.png"), (7, "")]


def test_a_path_in_two_folders_is_told(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    Image.fromarray(noise(9, 40, 40)).save(tmp_path / "more" / "a.png")
    desk.index(tmp_path / "more")
    table = f"path,title\na.png,One\n{tmp_path / 'more' / 'a.png'},Two\nb.png,Three\n"
    report = apply_table(desk.store, read_table(written(desk, table)))
    assert (report.images, report.ambiguous, report.unknown) == (3, [(2, "a.png")], [])
    assert titles(desk) == {"a.png": "One", "b.png": "Three"}


def test_a_later_row_counts_and_an_empty_cell_clears(desk: Desk) -> None:
    table = read_table(written(desk, "path,title,year\na.png,One,1\na.png,Two,2\nb.png,Three,\n"))
    report = apply_table(desk.store, table)
    assert (report.images, report.repeated) == (2, 1)
    assert titles(desk) == {"a.png": "Two", "b.png": "Three"}
    apply_table(desk.store, read_table(written(desk, "path,title\nb.png,\n")))
    assert titles(desk) == {"a.png": "Two"}
    assert read_annotations(desk.store)["year"] == {desk.id_of("a.png"): "2"}


def test_columns_are_chosen(desk: Desk) -> None:
    file = written(desk, "id,place,title,date\n1,a.png,One,1890\n")
    with pytest.raises(AnnotationError, match="date is what cbir itself knows"):
        read_table(file, path_column="place")
    table = read_table(file, path_column="PLACE", only=["Title"])
    assert (table.fields, table.rows) == (("title",), [(2, "a.png", ("One",))])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "has no columns"),
        ("path\na.png\n", "has no columns"),
        ("path,title\na.png\n", "row 2 has 1 cells, the first one 2"),
        ("path,title\n\na.png,b,c\n", "row 3 has 3 cells"),
        ("path,title,Title\na.png,b,c\n", "the same name"),
        ("path,\na.png,b\n", "cannot be the name"),
        ('path,title\na.png,"b\n', "line"),
        ('path,title\na.png,"b"c\n', "line 2"),
        ("path,title\na.png,\xe9\n".encode("latin-1"), "not in UTF-8"),
        ("path,title\na.png,b\n".encode("utf-16"), "not in UTF-8"),
    ],
)
def test_what_is_no_table_is_told(desk: Desk, content: str | bytes, why: str) -> None:
    with pytest.raises(AnnotationError, match=why):
        read_table(written(desk, content))


def test_files_and_columns_that_are_not_there_are_told(desk: Desk) -> None:
    with pytest.raises(AnnotationError, match=r"none\.csv cannot be read: No such file"):
        read_table(desk.photos / "none.csv")
    file = written(desk, "path,title\na.png,One\n")
    with pytest.raises(AnnotationError, match="no column 'place'; there are path, title"):
        read_table(file, path_column="place")
    with pytest.raises(AnnotationError, match="no column 'year'; there are path, title"):
        read_table(file, only=["year"])


def test_another_writer_is_told_and_nothing_is_said(desk: Desk) -> None:
    table = read_table(written(desk, "path,title\na.png,One\n"))
    other = Store.open(desk.store.path)
    with other.writing(), pytest.raises(StoreLockedError):
        apply_table(desk.store, table)
    other.close()
    assert titles(desk) == {}


def test_hits_have_what_is_said(desk: Desk) -> None:
    apply_table(desk.store, read_table(written(desk, "path,title\na.png,One\n")))
    hits = desk.search().search(Query(path=desk.photos / "a.png", k=None))
    assert [(hit.path.name, dict(hit.annotations)) for hit in hits[:1]] == [
        ("a.png", {"title": "One"})
    ]
    assert all(not hit.annotations for hit in hits[1:])
