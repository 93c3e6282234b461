"""Routes for duplicates: the groups that were found, searching, and what is decided about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from indexer.errors import InvalidQueryError
from indexer.image_set import ImageSet
from indexer.store.decisions import choose_original, forget_all, keep_all
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.reader import StoreReader
from indexer.store.store import Store
from retrieval.duplicates.groups import Group, GroupKind
from retrieval.duplicates.search import Duplicates, read_duplicates
from ui.api.duplicate_models import (
    WHERE,
    Decided,
    Decision,
    DuplicateGroup,
    DuplicatePage,
    DuplicateSearch,
)
from ui.api.images import unknown_image
from ui.api.jobs import model_of
from ui.api.models import JobModel
from ui.api.problems import responses
from ui.api.service import Service, service_of
from ui.duplicates_job import DuplicatesJob
from ui.duplicates_report import Described, group_as_dict

router = APIRouter(prefix="/duplicates", tags=["duplicates"])

PAGE = 50  # groups of a page, unless asked
MAX_PAGE = 1000


@router.get("", responses=responses())
async def list_duplicates(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="groups at most")] = PAGE,
    offset: Annotated[int, Query(ge=0, lt=2**63, description="groups to pass over")] = 0,
    kind: Annotated[
        list[GroupKind] | None, Query(description="only these; may be given several times")
    ] = None,
    where: Annotated[str, Query(description=WHERE)] = "",
    decided: Annotated[bool, Query(description="also groups that are decided")] = False,
) -> DuplicatePage:
    """List the groups that earlier searches found, those to decide about first."""
    service = service_of(request)

    def find() -> DuplicatePage:
        store = service.opened.engine.store
        found = read_duplicates(store, _allowed(store, where))
        chosen = _choose(found, kind, decided=decided)
        return _page(service, store, chosen, slice(offset, offset + limit))

    return await run_in_threadpool(find)


@router.post("/search", status_code=202, responses=responses())
async def search_duplicates(asked: DuplicateSearch, request: Request) -> JobModel:
    """Search for duplicates; it is a job, whose progress and end the routes of jobs tell."""
    service = service_of(request)

    def start() -> JobModel:
        engine = service.opened.engine
        allowed = _allowed(engine.store, asked.where)
        number = service.start_job(lambda: DuplicatesJob(engine, allowed))
        return model_of(number, service.job(number))

    return await run_in_threadpool(start)


@router.post("/decisions", responses=responses(404))
async def decide_duplicates(decision: Decision, request: Request) -> Decided:
    """Decide which images of a group stay; no file is touched."""
    images = list(dict.fromkeys(decision.images))
    if decision.verdict != "forget" and len(images) < 2:
        raise InvalidQueryError(
            f"The verdict {decision.verdict} is about two images or more; 1 was given."
        )
    service = service_of(request)

    def decide(store: Store) -> None:
        with store.writing():
            known = store.image_infos(images)
            for image_id in images:
                if image_id not in known:
                    raise unknown_image(image_id)
            if decision.verdict == "keep":
                keep_all(store, images)
            elif decision.verdict == "original":
                choose_original(store, images[0], images[1:])
            else:
                forget_all(store, images)

    await service.change(lambda: service.writer.change(decide))
    return Decided(images=images, verdict=decision.verdict)


def _allowed(store: StoreReader, where: str) -> ImageSet | None:
    return find_ids(store, ImageFilter(where=where)) if where else None


def _choose(found: Duplicates, kinds: list[GroupKind] | None, *, decided: bool) -> Duplicates:
    def of_kind(groups: list[Group]) -> list[Group]:
        return [group for group in groups if not kinds or group.kind in kinds]

    later = of_kind([*found.decided, *found.kept]) if decided else []
    return replace(found, groups=of_kind(found.groups), decided=later)


def _page(service: Service, store: StoreReader, found: Duplicates, part: slice) -> DuplicatePage:
    """Return a part of the groups as JSON has them; only these are described."""
    undecided, total = len(found.groups), len(found.groups) + len(found.decided)
    shown = replace(
        found,
        groups=found.groups[part],
        decided=found.decided[max(0, part.start - undecided) : max(0, part.stop - undecided)],
    )
    described = Described.of(store, shown, with_decided=True)
    groups = []
    for place in range(len(described.groups)):
        row = group_as_dict(described, place + 1) | {"group": part.start + place + 1}
        for image in row["images"]:
            image["key"] = service.key_of(described.infos[image["image_id"]].path)
        groups.append(DuplicateGroup.model_validate(row))
    return DuplicatePage(
        groups=groups,
        total=total,
        offset=part.start,
        compared=found.compared,
        unread=len(found.unread),
    )
