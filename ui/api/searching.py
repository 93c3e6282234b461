"""Routes that search."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.concurrency import run_in_threadpool

from indexer.errors import CbirError, InvalidQueryError
from indexer.features.regions import Region
from indexer.image_set import ImageSet
from indexer.sources.place import named
from indexer.store.filters import ImageFilter, find_ids
from indexer.store.reader import StoreReader
from retrieval.query import Hit, Query
from ui.api.models import (
    Answer,
    HitModel,
    ImageChoice,
    ManyAnswers,
    ManyRequest,
    SearchOptions,
    SearchRequest,
)
from ui.api.problems import Problem, problem_of, responses
from ui.api.service import Service, service_of
from ui.fetch import fetch, without_credentials

router = APIRouter(tags=["search"])

FETCHES = 8  # of URLs at a time

M = TypeVar("M", bound=BaseModel)
Image = Annotated[UploadFile, File(description="an image file")]


def json_part(example: str) -> Any:
    """Return the description of a part of a form that holds JSON."""
    return Form(description="options as JSON", examples=[example], media_type="multipart/form-data")


@router.post("/search", responses=responses(429))
async def search(asked: SearchRequest, request: Request) -> Answer:
    """Find the images nearest to an image of the store, a URL, a text or a vector."""
    service = service_of(request)
    source = await run_in_threadpool(source_of, asked)
    return await _answer(service, request, asked, source)


@router.post("/search/upload", responses=responses(429))
async def search_by_upload(
    request: Request, image: Image, query: Annotated[str, json_part('{"k": 5}')] = "{}"
) -> Answer:
    """Find the images nearest to an image file, or to a box in it."""
    asked = parse(SearchOptions, query)
    source = {"data": await image.read(), "name": image.filename or "image"}
    return await _answer(service_of(request), request, asked, source)


@router.post("/search/many", responses=responses(429))
async def search_many(asked: ManyRequest, request: Request) -> ManyAnswers:
    """Answer several queries together; one that fails has its problem as the answer."""
    service = service_of(request)
    started = time.monotonic()
    engine = await run_in_threadpool(lambda: service.opened.engine)
    queries = await run_in_threadpool(_queries, engine.store, asked.queries)
    good = [query for query in queries if isinstance(query, Query)]
    found = iter(
        await service.search(
            request,
            lambda wanted: engine.search_many(good, require_wanted=wanted),
        )
    )
    spent = time.monotonic() - started
    answers: list[Answer | Problem] = []
    for query in queries:
        if isinstance(query, CbirError):
            answers.append(problem_of(query))
            continue
        hits = next(found)
        if isinstance(hits, CbirError):
            answers.append(problem_of(hits))
        else:
            answers.append(answer_of(service, query, hits, spent))
    return ManyAnswers(answers=answers)


async def _answer(
    service: Service, request: Request, asked: SearchOptions, source: dict[str, Any]
) -> Answer:
    started = time.monotonic()
    engine = await run_in_threadpool(lambda: service.opened.engine)
    query = await run_in_threadpool(make_query, engine.store, asked, source)
    hits = await service.search(request, lambda wanted: engine.search(query, require_wanted=wanted))
    return answer_of(service, query, hits, time.monotonic() - started)


def answer_of(service: Service, query: Query, hits: Sequence[Hit], elapsed_s: float) -> Answer:
    """Return the hits of a query as JSON has them."""
    return Answer(
        search=query.search,
        feature=query.feature,
        elapsed_s=round(elapsed_s, 4),
        hits=[HitModel.of(hit, service.key_of(hit.path)) for hit in hits],
    )


def _queries(store: StoreReader, asked: Sequence[SearchRequest]) -> list[Query | CbirError]:
    """Return the queries that are asked; their URLs are fetched side by side."""

    def make(one: SearchRequest) -> Query | CbirError:
        try:
            return make_query(store, one, source_of(one))
        except CbirError as error:
            return error

    with ThreadPoolExecutor(FETCHES) as threads:
        return list(threads.map(make, asked))


def source_of(asked: SearchRequest) -> dict[str, Any]:
    """Return what is asked with, as fields of a `Query`.

    Raises `InvalidQueryError` unless there is exactly one, and `FetchError`.
    """
    given = {
        name: value
        for name in ("image_id", "url", "text", "vector")
        if (value := getattr(asked, name)) is not None
    }
    if len(given) != 1:
        raise InvalidQueryError(
            f"A query needs exactly one of image_id, url, text and vector; {len(given)} were given."
        )
    if asked.url is not None:
        return {"data": fetch(asked.url), "name": without_credentials(asked.url)}
    return {name: tuple(v) if name == "vector" else v for name, v in given.items()}


def make_query(store: StoreReader, asked: SearchOptions, source: dict[str, Any]) -> Query:
    """Return the query that is asked; raises `CbirError` for one that cannot be."""
    pictured = "text" not in source and "vector" not in source
    verify = store.keeps_keypoints and pictured if asked.verify is None else asked.verify
    return Query.for_store(
        store.spec,
        k=asked.k,
        box=None if asked.box is None else Region(*asked.box),
        context=asked.context,
        feature=asked.feature,
        search=asked.search,
        turns=asked.turns,
        verify=verify,
        rerank=asked.rerank,
        candidates=asked.candidates,
        min_confidence=asked.min_confidence,
        allowed=_allowed(store, asked),
        max_pixels=store.max_pixels,
        damaged=asked.damaged,
        oversize=asked.oversize,
        **source,
    )


def _allowed(store: StoreReader, asked: SearchOptions) -> ImageSet | None:
    chosen = None if asked.allowed is None else ImageSet.of(asked.allowed)
    if asked.filter is None:
        return chosen
    passed = find_ids(store, filter_of(asked.filter))
    return passed if chosen is None else chosen & passed


def filter_of(choice: ImageChoice) -> ImageFilter:
    """Return the filter that is asked for."""
    return ImageFilter(
        folder=None if choice.folder is None else named(choice.folder),
        name=choice.name,
        since=choice.since,
        until=choice.until,
        tags=tuple(choice.tags),
        where=choice.where,
    )


def parse(model: type[M], text: str) -> M:
    """Read the JSON in a form; raises `RequestValidationError`."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from error
