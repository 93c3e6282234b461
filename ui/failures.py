"""A page of the queries that went worst: what was asked, what came, and what should have come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader

from indexer.features.regions import Region
from indexer.sources.place import Place
from retrieval.evaluation.scoring import QueryScore, Scores
from ui.printable import printable
from ui.thumbnails import BOX_COLOUR, PROVED_COLOUR, as_data_url, draw_thumbnail

SIDE_PX = 200
QUERY_COLOUR = "#0a84ff"  # of its box: neither right nor wrong
MISSED = 10  # right images shown that are not among the first hits


@dataclass(frozen=True)
class Card:
    """A picture with a caption; `is_right` is None for what is not a hit."""

    image: str
    name: str
    path: str
    caption: str
    is_right: bool | None = None


def render_failures(scores: Sequence[Scores], count: int) -> str:
    """Return the `count` worst queries of each as one page with the pictures inside."""
    environment = Environment(loader=PackageLoader(__name__), autoescape=True)
    page = environment.get_template("failures.html")
    sections = [
        {
            "name": printable(found.manifest.name),
            "figures": found.as_dict(),
            "failures": [_describe(found, query) for query in found.worst(count)],
        }
        for found in scores
    ]
    return page.render(sections=sections)


def _describe(scores: Scores, score: QueryScore) -> dict[str, Any]:
    query = score.query
    missed = _missed(score)
    return {
        "id": printable(query.id),
        "score": score,
        "asked": _card(
            query.image,
            query.box,
            f"box {query.box}" if query.box else "whole image",
            colour=QUERY_COLOUR,
        ),
        "hits": [
            _card(
                hit.path,
                hit.region,
                f"{rank}. {hit.score:.3f}",
                is_right=entry in query.positives,
            )
            for rank, (entry, hit) in enumerate(score.top, 1)
        ],
        "missed": [
            _card(scores.manifest.folder / entry, _true_box(scores, score, entry), caption)
            for entry, caption in missed[:MISSED]
        ],
        "more": max(0, len(missed) - MISSED),
    }


def _missed(score: QueryScore) -> list[tuple[str, str]]:
    """Return the positives that are not among the first hits, and where they are, best first."""
    shown = {entry for entry, _ in score.top}
    found = [(entry, f"rank {rank}") for entry, rank in score.ranks.items() if entry not in shown]
    lost = sorted(score.query.positives - score.ranks.keys())
    return found + [(entry, "not returned") for entry in lost]


def _true_box(scores: Scores, score: QueryScore, entry: str) -> Region | None:
    """Return the true box of the object in an image, if it has a single one."""
    truths = scores.manifest.boxes if score.query.boxes is None else score.query.boxes
    boxes = truths.get(entry, [])
    return boxes[0] if len(boxes) == 1 else None


def _card(
    path: Place,
    box: Region | None,
    caption: str,
    *,
    is_right: bool | None = None,
    colour: str = PROVED_COLOUR,
) -> Card:
    shown = BOX_COLOUR if is_right is False else colour
    picture = draw_thumbnail(path, SIDE_PX, box, colour=shown)
    return Card(as_data_url(picture), printable(path.name), printable(path), caption, is_right)
