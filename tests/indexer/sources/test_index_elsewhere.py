"""An index run over photos elsewhere does what it does over a folder."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from indexer.errors import NoImagesError
from indexer.run import BuildOptions, IndexReport
from indexer.shard import Shard
from indexer.store.store import Store
from tests.colour_grid import colour_spec
from tests.desk import Desk
from tests.pictures import BLUE, GREEN, ORANGE, RED, plain
from tests.places import Published

ELSEWHERE = pytest.mark.parametrize(
    "published", ["zip", "tar", "s3", "tar at s3", "gs", "https"], indirect=True
)
Counts = tuple[int, int, int, int, int]


def vectors_of(store: Store) -> dict[str, bytes]:
    """The vectors of the good images of a store, bit for bit, by the names of their files."""
    index = store.vector_index(store.spec.kinds[0])
    rows = {row.id: row.file.path for row in store.known_files().values() if not row.reason}
    found = {}
    for image_id, path in rows.items():
        _, vectors = index.rows_of_image(image_id)
        found[unquote(path)] = np.ascontiguousarray(vectors).tobytes()
    return found


def counts(report: IndexReport) -> Counts:
    return report.added, report.updated, report.unchanged, report.moved, report.removed


def another_desk(desk: Desk, folder: Path) -> Desk:
    return Desk(desk.photos, Store.create(folder / ".elsewhere", colour_spec()))


@ELSEWHERE
def test_a_store_is_the_same_as_that_of_a_folder(
    published: Published, desk: Desk, tmp_path: Path
) -> None:
    for name, colour in {"a.png": RED, "sub/b c.jpg": BLUE, "sub/größe 写真.png": GREEN}.items():
        plain(desk.photos / name, colour)
    (desk.photos / "bad.jpg").write_bytes(b"no picture")
    (desk.photos / "notes.txt").write_text("text", "utf-8")
    (desk.photos / "sub" / ".hidden.jpg").write_bytes(b"hidden")
    published.publish()
    local, elsewhere = desk.index(), another_desk(desk, tmp_path)
    report = elsewhere.index(published.place)
    assert counts(report) == counts(local) == (3, 0, 0, 0, 0)
    assert report.skipped == local.skipped == {".txt": 1}
    assert report.failed == [(f"{published.place}/bad.jpg", local.failed[0][1])]
    assert vectors_of(elsewhere.store) == vectors_of(desk.store)
    elsewhere.store.close()


@ELSEWHERE
def test_changes_are_found_and_nothing_else_is_read(published: Published, desk: Desk) -> None:
    for name, colour in {"a.png": RED, "b.png": BLUE, "c.png": GREEN}.items():
        plain(desk.photos / name, colour)
    published.publish()
    assert counts(desk.index(published.place)) == (3, 0, 0, 0, 0)
    assert counts(desk.index(published.place)) == (0, 0, 3, 0, 0)
    assert (desk.engine.runs, desk.loads) == (3, 1)

    plain(desk.photos / "a.png", ORANGE)
    os.utime(desk.photos / "a.png", (2_000_000_000, 2_000_000_000))
    (desk.photos / "b.png").unlink()
    (desk.photos / "sub").mkdir()
    (desk.photos / "c.png").rename(desk.photos / "sub" / "d.png")
    published.publish()
    report = desk.index(published.place)
    assert counts(report) == (0, 1, 0, 1, 1)
    assert desk.engine.runs == 4
    assert counts(desk.update()) == (0, 0, 2, 0, 0)


@ELSEWHERE
def test_a_place_that_is_empty_now_forgets_nothing(published: Published, desk: Desk) -> None:
    plain(desk.photos / "a.png", RED)
    (desk.photos / "notes.txt").write_text("text", "utf-8")
    published.publish()
    desk.index(published.place)
    (desk.photos / "a.png").unlink()
    published.publish()
    with pytest.raises(NoImagesError, match="the store knows 1 there"):
        desk.index(published.place)
    assert len(desk.store.known_files()) == 1


@ELSEWHERE
def test_exclude_and_ignore_files_count_as_in_a_folder(published: Published, desk: Desk) -> None:
    for name in ("a.png", "b.png", "sub/c.png", "sub/d.png"):
        plain(desk.photos / name, RED if name < "c" else BLUE)
    (desk.photos / ".cbirignore").write_text("b.png\n", "utf-8")
    published.publish()
    report = desk.index(published.place, options=BuildOptions(exclude=("/sub/d*",)))
    assert report.added == 2
    paths = {path for _, path in desk.store.known_files()}
    assert paths == ({"a.png", "sub/c.png"})


@pytest.mark.parametrize("published", ["tar", "s3"], indirect=True)
def test_shards_hold_every_photo_once(published: Published, desk: Desk, tmp_path: Path) -> None:
    for number in range(6):
        plain(desk.photos / f"{number}.png", (number * 40, 90, 10))
    published.publish()
    held = []
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        other = another_desk(desk, tmp_path / str(number))
        other.index(published.place, options=BuildOptions(shard=Shard(number, 2)))
        held.append({path for _, path in other.store.known_files()})
        other.store.close()
    assert not held[0] & held[1]
    assert held[0] | held[1] == {f"{number}.png" for number in range(6)}


@pytest.mark.parametrize("published", ["zip", "s3"], indirect=True)
def test_a_photo_that_goes_elsewhere_is_not_described_again(
    published: Published, desk: Desk, tmp_path: Path
) -> None:
    local = tmp_path / "local"
    plain(local / "a.png", RED)
    plain(local / "b.png", BLUE)
    plain(desk.photos / "c.png", GREEN)
    published.publish()
    assert desk.index(local, published.place).added == 3
    (local / "a.png").rename(desk.photos / "a.png")
    published.publish()
    report = desk.index(local, published.place)
    assert counts(report) == (0, 0, 2, 1, 0)
    assert desk.engine.runs == 3
