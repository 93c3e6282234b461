"""Give the readers of files whatever Hypothesis thinks of: only a `CbirError` may come out.

    python -m benchmarks.fuzz [--minutes 5] [batch manifest labels concept filter store ...]

Each target gets random files, and valid ones that are cut, spliced and changed. A target ends at
the first other exception, with the example that Hypothesis has made as small as it can.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from indexer.build import index_photos
from indexer.errors import CbirError
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.store.annotations import annotate
from indexer.store.catalog.checksums import write_all_checksums, write_state
from indexer.store.catalog.sqlalchemy_catalog import SqlAlchemyCatalog
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.store import Store
from indexer.store.tags import replace_tags, save_concept
from retrieval.concept_files import load_concept
from retrieval.evaluation.benchmark_sets import read_benchmark
from retrieval.labels import FORMAT, load_labels
from ui.cli.batch import read_batch

EXAMPLES = 300  # that Hypothesis makes in one go
Arguments = tuple[st.SearchStrategy[Any], ...]

# --- what is made -----------------------------------------------------------------------------

_numbers = st.integers(-(2**70), 2**70) | st.floats() | st.integers(-3, 300)
_texts = st.text(max_size=12) | st.sampled_from(["", "a.jpg", "/etc", "..", "\0", "\ud800", "1e9"])
_json = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def changed(draw: st.DrawFn, valid: list[Any]) -> Any:
    """One of some JSON values, with a few of its parts replaced, left out or doubled."""
    value = json.loads(json.dumps(draw(st.sampled_from(valid))))
    for _ in range(draw(st.integers(0, 3))):
        value = _change(draw, value)
    return value


def _change(draw: st.DrawFn, value: Any) -> Any:
    """Return a value with one part of it changed."""
    keys = list(value) if isinstance(value, dict) else range(len(value) if _is_list(value) else 0)
    if not keys or draw(st.integers(0, 5)) == 0:
        return draw(_json)
    key = draw(st.sampled_from(list(keys)))
    how = draw(st.sampled_from(["deeper", "replace", "drop", "double"]))
    if how == "deeper":
        value[key] = _change(draw, value[key])
    elif how == "replace":
        value[key] = draw(_json)
    elif how == "drop":
        del value[key]
    elif _is_list(value):
        value.append(value[key])
    return value


def _is_list(value: object) -> bool:
    return isinstance(value, list)


@st.composite
def spliced(draw: st.DrawFn, valid: list[bytes]) -> bytes:
    """One of some files with parts cut, flipped, repeated, or replaced."""
    content = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 40))
        put = draw(st.binary(max_size=8) | st.just(bytes(content[place : place + length]) * 2))
        content[place : place + length] = put
    return bytes(content)


def _as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


# --- the batch of queries ---------------------------------------------------------------------

_BATCH = [{"id": "1", "image": "cat.jpg", "box": [0, 0, 9, 9]}, {"id": 2, "image": "b.jpg"}]
_LINES = b"\n".join(map(_as_json, _BATCH))
_CSV = b'id,image,box\n1,cat.jpg,"0,0,9,9"\n2,"a ""b"".jpg",\n'


def try_batch(content: bytes, suffix: str) -> None:
    """Read a file of queries."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"batch{suffix}"
        file.write_bytes(content)
        with suppress(CbirError):
            for query in read_batch(file):
                assert isinstance(query["image"], str)


_BATCH_ARGS: Arguments = (
    st.one_of(
        st.binary(max_size=200),
        spliced([_LINES, _CSV]),
        st.lists(changed(_BATCH).map(_as_json), max_size=3).map(b"\n".join),
    ),
    st.sampled_from([".jsonl", ".csv"]),
)

# --- manifests and other benchmarks -----------------------------------------------------------

_MANIFESTS: list[Any] = [
    {
        "name": "few",
        "database": ["a.jpg", "b.jpg"],
        "queries": [{"id": "1", "image": "a.jpg", "box": [0, 0, 4, 4], "relevant": ["b.jpg"]}],
    },
    {"database": ["a.jpg"], "queries": [{"id": "q", "image": "a.jpg", "relevant": []}]},
]
_GROUPS = b"image,group\na.jpg,1\nb.jpg,1\n"


def try_manifest(content: bytes, suffix: str) -> None:
    """Read a manifest, or a CSV file of groups."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a.jpg", "b.jpg"):
            Image.new("RGB", (8, 8)).save(Path(folder) / name)
        file = Path(folder) / f"set{suffix}"
        file.write_bytes(content)
        with suppress(CbirError):
            read_benchmark(file)


_MANIFEST_ARGS: Arguments = (
    st.one_of(
        st.binary(max_size=200),
        spliced([*map(_as_json, _MANIFESTS), _GROUPS]),
        changed(_MANIFESTS).map(_as_json),
    ),
    st.sampled_from([".json", ".csv", ".pkl"]),
)

# --- labels and concepts ----------------------------------------------------------------------

_LABELS: list[Any] = [{"format": FORMAT, "labels": [{"path": "photos/0.jpg", "match": True}]}]


@cache
def _store() -> Path:
    """A small store that is made once; it stays until the process ends."""
    folder = Path(_FOLDER.name)
    (folder / "photos").mkdir()
    values = np.random.default_rng(1).integers(0, 255, (4, 90, 90, 3), np.uint8)
    for number, pixels in enumerate(values):
        Image.fromarray(pixels).save(folder / "photos" / f"{number}.jpg")
    store = Store.create(folder / ".cbir", FeatureSpec.create())
    index_photos(store, [folder / "photos"], lambda: FeatureExtractor(store.spec))
    with store.writing():
        save_concept(store, "cat", "{}")
        replace_tags(store, {"cat": {1: 0.5}})
        annotate(store, {"sku": {1: "A1"}, "price": {1: "2.50"}})
    store.close()
    return folder / ".cbir"


_FOLDER = tempfile.TemporaryDirectory()


def try_labels(content: bytes) -> None:
    """Read a file of labels."""
    with closing(Store.open(_store())) as store, suppress(CbirError):
        load_labels(store, content)


_LABELS_ARGS: Arguments = (
    st.one_of(
        st.binary(max_size=200),
        spliced([*map(_as_json, _LABELS)]),
        changed(_LABELS).map(_as_json),
    ),
)

_CONCEPTS: list[Any] = [
    {
        "format": "cbir concept 1",
        "name": "cat",
        "kind": "conv",
        "weights": "AACAPwAAgD8=",
        "bias": 0.5,
        "threshold": 0.5,
    }
]


def try_concept(content: bytes) -> None:
    """Read a file of a concept."""
    with suppress(CbirError):
        load_concept(content)


_CONCEPT_ARGS: Arguments = (
    st.one_of(
        st.binary(max_size=200),
        spliced([*map(_as_json, _CONCEPTS)]),
        changed(_CONCEPTS).map(_as_json),
    ),
)

# --- filters ----------------------------------------------------------------------------------

_WORDS = (
    *("name", "path", "folder", "camera", "format", "date", "width", "size", "pages", "tag", "x"),
    *(":", "=", "!=", "<", "<=", ">", ">=", "and", "or", "not", "(", ")", " ", '"', "\\"),
    *("cat", "2019", "2019-06", "9999-12", "1e308", "2.5MB", "_", "%", "*", "?", "/", "..", "é"),
)


def try_filter(text: str) -> None:
    """Find the images that meet a filter."""
    with suppress(CbirError), closing(Store.open(_store())) as store:
        find_ids(store, ImageFilter(where=text))


_FILTER_ARGS: Arguments = (
    st.one_of(
        st.text(max_size=60),
        st.lists(st.sampled_from(_WORDS) | _texts, max_size=14).map("".join),
        st.lists(st.sampled_from(_WORDS) | _texts, max_size=14).map(" ".join),
        st.lists(
            st.tuples(*(st.sampled_from(_WORDS[i:j]) for i, j in ((0, 11), (11, 18), (26, 39)))),
            max_size=6,
        ).map(lambda parts: " ".join(map("".join, parts))),
    ),
)

# --- stores -----------------------------------------------------------------------------------

_COLUMNS = (
    ("spec", "json fingerprint index_form keypoints"),
    ("roots", "path options skipped"),
    ("images", "root_id path size_bytes content_hash state reason width height taken_at camera"),
    ("regions", "image_id x0 y0 x1 y1"),
    ("segments", "id kind rows dimension checksum"),
    ("lists", "kind form rows trained_rows nprobe recall checksum"),
    ("concepts", "name json"),
    ("tags", "image_id concept_id probability"),
    ("fields", "id name"),
    ("annotations", "image_id field_id text number"),
    ("removed", "image_id"),
)
_places = st.sampled_from([(t, c) for t, columns in _COLUMNS for c in columns.split()])
_values = (
    st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | _texts.filter(lambda text: text.isprintable())
    | st.binary(max_size=9)
    | st.none()
)


@st.composite
def harms(draw: st.DrawFn) -> tuple[str, Any]:
    """Bytes of a file that are changed, or a value of the catalogue, under right checksums."""
    if draw(st.booleans()):
        return "value", (*draw(_places), draw(_values))
    files = sorted(path.relative_to(_store()) for path in _store().rglob("*") if path.is_file())
    return "file", (draw(st.sampled_from(files)), draw(st.randoms(use_true_random=False)))


def try_store(harm: tuple[str, Any]) -> None:
    """Open a store that somebody changed, and ask it."""
    kind, how = harm
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ".cbir"
        shutil.copytree(_store(), path)
        shutil.copytree(_store().parent / "photos", path.parent / "photos")
        if kind == "file":
            name, chance = how
            content = bytearray((path / name).read_bytes())
            for _ in range(chance.randint(1, 4)):
                place, length = chance.randint(0, len(content)), chance.randint(0, 30)
                content[place : place + length] = chance.randbytes(chance.choice((0, 1, length)))
            (path / name).write_bytes(content)
        elif not _forge(path, *how):
            return
        with suppress(CbirError), closing(Store.open(path)) as store:
            _use(store)


def _forge(path: Path, table: str, column: str, value: object) -> bool:
    """Change a value and make the checksums fit; False where SQLite itself refuses."""
    catalog = SqlAlchemyCatalog((path / "catalog.sqlite").resolve())
    try:
        with closing(sqlite3.connect(path / "catalog.sqlite")) as file, file:
            file.execute(f"UPDATE {table} SET {column} = ?", (value,))
        with catalog.engine.begin() as connection:
            write_all_checksums(connection)
            write_state(connection, 7, seals=False)
    except (sqlite3.Error, TypeError, ValueError, OverflowError, UnicodeError):
        return False  # such a value has no checksum, so nobody can forge it
    finally:
        catalog.close()
    return True


def _use(store: Store) -> None:
    for kind in store.spec.kinds:
        index = store.vector_index(kind)
        query = np.full((1, index.dimension), index.dimension**-0.5, np.float32)
        found = index.search_images(query, 5)[0].image_ids.tolist()
        store.image_infos(found)
        if kind.scope == "region":
            store.regions(index.search(query, 5)[0].ids.tolist())
    store.known_files()
    find_ids(store, ImageFilter(name="1", tags=("cat",), where="sku:a and price<3"))
    store.reader.annotations([1, 2])
    with store.writing():
        store.remove([1])


TARGETS: dict[str, tuple[Callable[..., None], Arguments]] = {
    "batch": (try_batch, _BATCH_ARGS),
    "manifest": (try_manifest, _MANIFEST_ARGS),
    "labels": (try_labels, _LABELS_ARGS),
    "concept": (try_concept, _CONCEPT_ARGS),
    "filter": (try_filter, _FILTER_ARGS),
    "store": (try_store, (harms(),)),
}


def fuzz(name: str, examples: int, number: int = 0) -> None:
    """Give a target some examples, others for each number; nothing is kept between runs."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    target, arguments = TARGETS[name]

    def once(values: tuple[Any, ...]) -> None:
        target(*values)

    limited = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=checks,
        phases=[Phase.generate, Phase.shrink],
    )
    seed(number)(limited(given(st.tuples(*arguments))(once)))()


def main() -> None:
    """Print how many examples each target took."""
    parser = argparse.ArgumentParser(description="Fuzz the readers of files.")
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], help="all, unless given")
    parser.add_argument("--minutes", type=float, default=5.0, help="for each target")
    options = parser.parse_args()
    for name in options.targets or TARGETS:
        until = time.monotonic() + 60 * options.minutes
        rounds = 0
        while time.monotonic() < until:
            fuzz(name, EXAMPLES, rounds)
            rounds += 1
        print(f"{name}: {rounds * EXAMPLES:,} examples, nothing but CbirError", flush=True)


if __name__ == "__main__":
    main()
