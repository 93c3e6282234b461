from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.sources.place import to_place
from tests import places
from tests.places import Published


@pytest.fixture
def published(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Published]:
    """An empty folder, and the place of the kind asked for where it is published."""
    if "desk" in request.fixturenames:
        request.getfixturevalue("desk")  # which makes the folder
    folder = tmp_path / "photos"
    folder.mkdir(exist_ok=True)
    kind = request.param
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    if kind == "folder":
        yield Published(folder, folder, lambda: None)
    elif kind in places.WRITERS:
        yield places.in_archive(kind, folder)
    elif kind == "s3":
        yield places.in_bucket(request.getfixturevalue("bucket"), folder)
    elif kind.endswith(" at s3"):
        yield places.in_archive_at(request.getfixturevalue("bucket"), kind[:3], folder)
    elif kind == "gs":
        with places.memory_buckets():
            yield places.in_memory(folder)
    else:
        with places.web_server(tmp_path) as url:
            yield Published(folder, to_place(f"{url}/photos/"), lambda: None)
