"""Every labelled set in every mode: how well the right images are found, proved and located.

Run: python -m benchmarks.scoreboard DATA [--quick] [--sets flickrlogos27-crop ...] [--modes ...]
     [--backbone efficientnet_lite0] [--stores FOLDER] [--table docs/scoreboard.json] [--write]
DATA holds folders with a `manifest*.json` each, and `imagenet_sample/`, photos of which copies are
made as queries of two more sets. It prints a row a set and mode, marks each figure that is lower
than in the last table, and with --write replaces that table. --quick asks every eighth query.
Stores are kept in FOLDER, where it is given, for the next run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.copies import write_copies
from indexer.build import Builder
from indexer.features.backbones import DEFAULT_BACKBONE
from indexer.features.extractor import FeatureExtractor
from indexer.features.spec import FeatureSpec
from indexer.optimize import update_indexes
from indexer.sources.place import path_below
from indexer.store.store import Store
from retrieval.engine import SearchEngine
from retrieval.evaluation.manifest import Manifest
from retrieval.evaluation.scoring import score_answers
from retrieval.query import Hit, Query

MODES: dict[str, dict[str, Any]] = {
    "image": {"search": "image"},
    "image + verify": {"search": "image", "verify": True},
    "region": {"search": "region"},
    "region + verify": {"search": "region", "verify": True},
    "region + rerank": {"search": "region", "rerank": True},
}
FIGURES = ("mAP", "precision@10", "hit@1", "box_iou>=0.5", "pointing")
SHOWN = (*FIGURES, "proved", "false_proofs", "query_ms")
QUICK = 8
NOISE = 0.0005  # falls that rounding explains


@dataclass(frozen=True)
class Board:
    """The choices of a run."""

    modes: list[str]
    every: int
    candidates: int
    backbone: str
    stores: Path

    def row_name(self, mode: str) -> str:
        """Return the name of a row: its mode, and the backbone where it is not the default."""
        return mode if self.backbone == DEFAULT_BACKBONE else f"{mode}, {self.backbone}"


def find_manifests(data: Path, scratch: Path) -> list[Path]:
    """Return the manifests of the labelled sets, those of copies included."""
    return [
        *sorted(data.glob("*/manifest*.json")),
        *write_copies(data / "imagenet_sample", scratch),
    ]


def open_store(manifest: Manifest, path: Path, backbone: str = DEFAULT_BACKBONE) -> Store:
    """Return the indexed photos of a manifest."""
    if path.exists():
        return Store.open(path)
    spec = FeatureSpec.create(backbone)
    store = Store.create(path, spec)
    extractor = FeatureExtractor(spec)
    Builder(store, lambda: extractor).run(sorted(manifest.folder / e for e in manifest.database))
    update_indexes(store)
    return store


def score_set(manifest: Manifest, board: Board) -> dict[str, dict[str, Any]]:
    """Ask the queries of a set in every mode."""
    store = open_store(manifest, board.stores / board.row_name(manifest.name), board.backbone)
    engine = SearchEngine(store)
    infos = {store.find_image(manifest.folder / entry) for entry in manifest.database}
    allowed = frozenset(info.id for info in infos if info is not None)
    rows = {}
    for mode in board.modes:
        name = board.row_name(mode)
        rows[name] = _ask(engine, manifest, board, MODES[mode], allowed)
        print_row(manifest.name, name, rows[name], {})
    store.close()
    return rows


def _ask(
    engine: SearchEngine,
    manifest: Manifest,
    board: Board,
    options: dict[str, Any],
    allowed: frozenset[int],
) -> dict[str, Any]:
    answers: dict[str, list[Hit]] = {}
    times = []
    manifest = manifest.every(board.every)
    for query in manifest.queries:
        asked = Query(
            path=query.image,
            box=query.box,
            k=None,
            candidates=board.candidates,
            allowed=allowed,
            **options,
        )
        started = time.perf_counter()
        answers[query.id] = engine.search(asked)
        times.append(time.perf_counter() - started)
    scores = score_answers(manifest, answers).as_dict()
    return (
        {name: scores[name] for name in (*FIGURES, "box_iou")}
        | _count_proofs(manifest, answers)
        | {
            "queries": scores["queries"],
            "query_ms": round(1000 * float(np.median(times)), 1),
        }
    )


def _count_proofs(manifest: Manifest, answers: dict[str, list[Hit]]) -> dict[str, float]:
    """Return the share of positives that are proved, and the proofs a million other pairs."""
    right = wrong = positives = others = 0
    for query in manifest.queries:
        for hit in answers.get(query.id, ()):
            entry = path_below(manifest.folder, hit.path)
            if entry in query.junk:
                continue
            is_right = entry in query.positives
            positives += is_right
            others += not is_right
            right += is_right and hit.inliers is not None
            wrong += not is_right and hit.inliers is not None
    return {
        "proved": round(right / max(1, positives), 4),
        "false_proofs": round(1e6 * wrong / max(1, others), 1),
    }


def print_row(name: str, mode: str, row: dict[str, Any], before: dict[str, Any]) -> None:
    """Print a row; a figure that fell since the last table has its fall beside it."""
    cells = []
    for figure in SHOWN:
        cell = f"{row[figure]}" if row[figure] is not None else "-"
        fall = (before.get(figure) or 0) - (row[figure] or 0)
        if figure in FIGURES and fall > NOISE:
            cell += f" (-{fall:.3f})"
        cells.append(f"{cell:>16}")
    print(f"{name + ', ' + mode:42}" + "".join(cells), flush=True)


def main() -> None:
    """Print a row for each set and mode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--quick", action="store_true", help="ask every eighth query")
    parser.add_argument("--sets", nargs="+", help="names of manifests; all unless given")
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--candidates", type=int, default=Query.candidates)
    parser.add_argument("--stores", type=Path)
    parser.add_argument("--table", type=Path, default=Path("docs/scoreboard.json"))
    parser.add_argument("--write", action="store_true", help="replace the table")
    arguments = parser.parse_args()
    kept = json.loads(arguments.table.read_text("utf-8")) if arguments.table.is_file() else {}
    print(f"{'set, mode':42}" + "".join(f"{figure:>16}" for figure in SHOWN))
    table: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        stores = arguments.stores or Path(scratch)
        board = Board(
            arguments.modes,
            QUICK if arguments.quick else 1,
            arguments.candidates,
            arguments.backbone,
            stores,
        )
        for path in find_manifests(arguments.data.resolve(), stores):
            manifest = Manifest.read(path)
            if arguments.sets and manifest.name not in arguments.sets:
                continue
            table[manifest.name] = score_set(manifest, board)
    _print_falls(table, kept)
    if arguments.write:
        joined = kept | {name: kept.get(name, {}) | rows for name, rows in table.items()}
        arguments.table.write_text(json.dumps(joined, indent=1) + "\n", "utf-8")


def _print_falls(table: dict[str, Any], kept: dict[str, Any]) -> None:
    for name, rows in table.items():
        for mode, row in rows.items():
            before = kept.get(name, {}).get(mode, {})
            if before.get("queries") == row["queries"] and any(
                (before.get(figure) or 0) - (row[figure] or 0) > NOISE for figure in FIGURES
            ):
                print("fell:")
                print_row(name, mode, row, before)


if __name__ == "__main__":
    main()
