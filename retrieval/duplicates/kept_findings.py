"""Keeping what comparing has found with the store, so that the next run continues from it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from indexer.store.derived import DerivedFiles
from indexer.store.layout import DUPLICATES
from retrieval.duplicates.find import Findings
from retrieval.duplicates.relation import KINDS, Relation


def read_findings(derived: DerivedFiles) -> Findings:
    """Return what is kept, nothing where there is none or its file is damaged."""
    data = derived.read(DUPLICATES)
    try:
        kept = json.loads(data or b"{}")
        relations = [_to_relation(row) for row in kept.get("relations", [])]
        unrelated = {(int(a), int(b)) for a, b in kept.get("unrelated", [])}
        searched = {int(image_id) for image_id in kept.get("searched", [])}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Findings()
    return Findings({(min(r.pair), max(r.pair)): r for r in relations}, unrelated, searched)


def keep_findings(derived: DerivedFiles, findings: Findings) -> bool:
    """Keep what was found; return whether that worked: a store may be read-only."""
    rows = {
        "relations": [asdict(relation) for relation in findings.relations.values()],
        "unrelated": sorted(findings.unrelated),
        "searched": sorted(findings.searched),
    }
    return derived.write(DUPLICATES, json.dumps(rows).encode())


def _to_relation(row: dict[str, Any]) -> Relation:
    if row["kind"] not in KINDS:
        raise ValueError(row["kind"])
    quad = row["quad"]
    return Relation(
        row["kind"],
        int(row["first"]),
        int(row["second"]),
        float(row["agreement"]),
        int(row["turned"]),
        bool(row["mirrored"]),
        None if quad is None else tuple((float(x), float(y)) for x, y in quad),
    )
