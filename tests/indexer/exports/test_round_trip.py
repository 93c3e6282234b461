"""What is exported and merged is what was there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from indexer.choices import ExportFormat
from indexer.exports.write import export_store
from indexer.store.filters import ImageFilter, find_ids
from tests.exporting import merged
from tests.random_stores import Filling, fill, fillings
from tests.store_contents import by_path, everything_in

FORMATS: tuple[ExportFormat, ...] = ("parquet", "numpy")


# Each example makes three stores: shrinking one that fails would take minutes.
@settings(
    max_examples=5,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@given(fillings(), st.sampled_from(FORMATS), st.sampled_from(["", "width>2000"]))
def test_export_and_merge_are_the_identity(
    filling: Filling, format: ExportFormat, where: str
) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        store = fill(folder / "one", filling)
        report = export_store(store, folder / "out", where=where, format=format)
        wanted = by_path(store)
        if where:
            ids = set(find_ids(store, ImageFilter(where=where)))
            kept = {row[1:3] for row in everything_in(store)["images"] if row[0] in ids}
            wanted = {key: _among(kept, wanted[key]) for key in wanted.keys() & kept}
        assert report.images == len(wanted)
        roots = store.reader.state().roots
        store.close()
        with merged(folder / "other", folder / "out") as (whole, told):
            assert by_path(whole) == wanted
            assert whole.reader.state().roots == roots
            assert (told.updated, told.unchanged) == (0, 0)
        if wanted:
            before = _bytes_in(folder / "out")
            with merged(folder / "other", folder / "out") as (whole, told):
                assert by_path(whole) == wanted
                assert (told.added, told.updated) == (0, 0)
            assert _bytes_in(folder / "out") == before


def _among(kept: set[Any], said: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return what `by_path` says of an image, without decisions about images that are not kept."""
    return (*said[:-1], {pair for pair in said[-1] if pair[0] in kept})


def _bytes_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}
