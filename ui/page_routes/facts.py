"""What is known of an image over HTTP, and which others are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from indexer.images.page_paths import find_page
from indexer.store.layout import DUPLICATES
from indexer.store.records import ImageInfo
from indexer.store.tags import tags_of
from retrieval.class_names import known_classes, likeliest
from retrieval.duplicates.kept_findings import read_findings
from retrieval.query import Hit
from ui.answers import as_rows
from ui.api.service import Wanted
from ui.duplicates_report import TITLES
from ui.page_routes.answering import asked_of, hits_by_id, number_in, require_images, work_for
from ui.page_routes.folders import can_open_folders
from ui.printable import printable
from ui.shown import Shown

RELATION_BYTES = 400  # about what Python takes for one, at both of its images
WHOLE = "this shows a part of it"
PART = "it shows a part of this"

Related = Mapping[int, list[tuple[int, str]]]


async def show_facts(request: Request) -> Response:
    """Answer with what is known of an image, and of it as a hit, if it is one."""
    image_id = number_in(request, "hit")

    def find(shown: Shown, wanted: Wanted) -> dict[str, Any]:
        asked, _ = asked_of(request, shown)
        [image] = require_images(shown, [image_id])
        hit = hits_by_id(shown, asked, [image_id], wanted).get(image_id)
        info = shown.gallery.info(image_id)
        rows = _facts(info) | _words(shown, image_id) | ({} if hit is None else _match(hit))
        own = shown.store.reader.annotations([image_id]).get(image_id, {})
        return {
            "row": as_rows(shown, [hit or image], scores=hit is not None)[0],
            "rows": _as_list(rows),
            "own": _as_list(own),
            "path": printable(info.path),
            "folder": printable(find_page(info.path)[0].parent),
            "width": info.width,
            "height": info.height,
            "opens": can_open_folders(request, info.path),
            "duplicates": _duplicates(shown, info),
        }

    return JSONResponse(await work_for(request, find))


def _as_list(rows: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"name": printable(name), "value": printable(" ".join(said.split()))}
        for name, said in rows.items()
    ]


def _facts(info: ImageInfo) -> dict[str, str]:
    return {
        "Size": f"{info.width} × {info.height} pixels",
        "Taken": f"{info.taken_at:%d %B %Y, %H:%M}" if info.taken_at else "unknown",
        "Camera": info.camera or "unknown",
        "Image number": str(info.id),
    }


def _match(hit: Hit) -> dict[str, str]:
    return {
        "Matched": str(hit.region) if hit.region is not None else "whole image",
        "Rank and score": f"{hit.rank}, {hit.score:.4f}",
    }


def _words(shown: Shown, image_id: int) -> dict[str, str]:
    """Return the tags of an image, and what the network takes it for, as far as there are any."""
    rows = {}
    if tags := tags_of(shown.store, image_id):
        rows["Tags"] = ", ".join(f"{name} ({value:.2f})" for name, value in tags.items())
    names = known_classes(shown.store)
    if names is not None:
        index = shown.image_index("fc")
        _, _, vectors = index.rows_of_images(np.array([image_id], np.int64))
        for vector in vectors:  # a blank image has none
            rows["Likeliest of 1,000 classes"] = ", ".join(likeliest(names, vector))
    return rows


# --- which others are the same --------------------------------------------------------------------


def _duplicates(shown: Shown, info: ImageInfo) -> list[dict[str, Any]]:
    """Return the images that show the same as one, or a part, as far as was searched for."""
    alike = _same_bytes(shown, info)
    kinds = dict.fromkeys(alike, TITLES["bytes"])
    related = _related(shown)
    for image_id in (info.id, *alike):  # one of those with the same bytes was compared for all
        for other, kind in related.get(image_id, []):
            kinds.setdefault(other, kind)
    kinds.pop(info.id, None)
    infos = shown.store.image_infos(kinds)
    return [
        {"id": image_id, "name": printable(infos[image_id].path.name), "kind": kind}
        for image_id, kind in kinds.items()
        if image_id in infos
    ]


def _same_bytes(shown: Shown, info: ImageInfo) -> list[int]:
    """Return the other images that are the same page of the same bytes."""
    found = shown.store.reader.images_of(info.content_hash) if info.content_hash else []
    infos = shown.store.image_infos(found)
    return [i for i in found if i in infos and i != info.id and infos[i].page == info.page]


def _related(shown: Shown) -> Related:
    """Return what was found by comparing: by image, the others and how they are related to it."""
    try:
        stat = (shown.store.derived.path / DUPLICATES).stat()
    except OSError:  # nobody has searched yet
        return {}

    def read() -> Related:
        found = defaultdict(list)
        for relation in read_findings(shown.store.derived).relations.values():
            is_same = relation.kind == "picture"
            found[relation.first].append((relation.second, TITLES["picture"] if is_same else WHOLE))
            found[relation.second].append((relation.first, TITLES["picture"] if is_same else PART))
        return found

    key = "related", stat.st_mtime_ns, stat.st_size
    return shown.kept.get(key, read, lambda found: RELATION_BYTES * len(found))
