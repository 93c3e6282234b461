"""Routes that search."""

from __future__ import annotations

import math
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
from retrieval.engine import SearchEngine
from retrieval.query import Hit, Query
from ui.api.models import HitModel, ImageChoice
from ui.api.problems import Problem, problem_of, responses
from ui.api.search_models import (
    MAX_FURTHER,
    Answer,
    FurtherImage,
    ManyAnswers,
    ManyRequest,
    SearchOptions,
    SearchRequest,
)
from ui.api.service import Service, service_of
from ui.fetch import fetch, without_credentials
from ui.further import UNLIKE, FurtherFeature, with_further

router = APIRouter(tags=["search"])

FETCHES = 8  # of URLs at a time

M = TypeVar("M", bound=BaseModel)
Image = Annotated[UploadFile, File(description="an image file")]
FurtherFiles = Annotated[
    list[UploadFile], File(max_length=2 * MAX_FURTHER, description="further image files")
]


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
    request: Request,
    query: Annotated[str, json_part('{"k": 5}')] = "{}",
    image: Image | None = None,
    further: FurtherFiles | None = None,
) -> Answer:
    """Find the images nearest to an image file, or to a box in it.

    Files sent as `further` are those that `also` and `unlike` name by `file`; without an `image`,
    the query says what to ask with, as for `/search`.
    """
    asked = parse(SearchRequest, query)
    files = [
        {"data": await file.read(), "name": file.filename or "image"} for file in further or ()
    ]
    if image is None:
        source = await run_in_threadpool(source_of, asked)
    elif named_sources(asked):
        raise InvalidQueryError(
            "Give either a file as image, or one of image_id, url, text and vector."
        )
    else:
        source = {"data": await image.read(), "name": image.filename or "image"}
    return await _answer(service_of(request), request, asked, source, files)


@router.post("/search/many", responses=responses(429))
async def search_many(asked: ManyRequest, request: Request) -> ManyAnswers:
    """Answer several queries together; one that fails has its problem as the answer."""
    service = service_of(request)
    started = time.monotonic()
    engine, queries = await run_in_threadpool(_prepare_many, service, asked.queries)
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
    service: Service,
    request: Request,
    asked: SearchOptions,
    source: dict[str, Any],
    files: Sequence[dict[str, Any]] = (),
) -> Answer:
    started = time.monotonic()
    engine, query = await run_in_threadpool(_prepare, service, asked, source, files)
    hits = await service.search(request, lambda wanted: engine.search(query, require_wanted=wanted))
    return answer_of(service, query, hits, time.monotonic() - started)


def _prepare(
    service: Service,
    asked: SearchOptions,
    source: dict[str, Any],
    files: Sequence[dict[str, Any]],
) -> tuple[SearchEngine, Query]:
    engine = service.opened.engine
    return engine, make_query(engine.store, asked, source, files)


def answer_of(service: Service, query: Query, hits: Sequence[Hit], elapsed_s: float) -> Answer:
    """Return the hits of a query as JSON has them."""
    return Answer(
        search=query.search,
        feature=query.feature,
        elapsed_s=round(elapsed_s, 4),
        hits=[HitModel.of(hit, service.key_of(hit.path)) for hit in hits],
    )


def _prepare_many(
    service: Service, asked: Sequence[SearchRequest]
) -> tuple[SearchEngine, list[Query | CbirError]]:
    engine = service.opened.engine
    return engine, _queries(engine.store, asked)


def _queries(store: StoreReader, asked: Sequence[SearchRequest]) -> list[Query | CbirError]:
    """Return the queries that are asked; their URLs are fetched side by side."""

    def make(one: SearchRequest) -> Query | CbirError:
        try:
            return make_query(store, one, source_of(one))
        except CbirError as error:
            return error

    with ThreadPoolExecutor(FETCHES) as threads:
        return list(threads.map(make, asked))


def named_sources(asked: SearchRequest | FurtherImage) -> dict[str, Any]:
    """Return those that are given of what can be asked with, by name."""
    names = ("image_id", "url", "text", "vector", "file")
    given = {name: getattr(asked, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def source_of(
    asked: SearchRequest | FurtherImage, files: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Return what is asked with, as fields of a `Query`; `files` are those that are sent along.

    Raises `InvalidQueryError` unless there is exactly one, and `FetchError`.
    """
    given = named_sources(asked)
    if len(given) != 1:
        is_further = isinstance(asked, FurtherImage)
        what, last = ("further image", "file") if is_further else ("query", "text")
        raise InvalidQueryError(
            f"A {what} needs exactly one of image_id, url, {last} and vector; {len(given)} were "
            "given."
        )
    [(name, value)] = given.items()
    if name == "url":
        return {"data": fetch(value), "name": without_credentials(value)}
    if name == "file":
        if value >= len(files):
            raise InvalidQueryError(
                f"There is no further file {value}: {len(files)} were sent, numbered from 0."
            )
        return dict(files[value])
    return {name: tuple(value) if name == "vector" else value}


def make_query(
    store: StoreReader,
    asked: SearchOptions,
    source: dict[str, Any],
    files: Sequence[dict[str, Any]] = (),
) -> Query:
    """Return the query that is asked; raises `CbirError` for one that cannot be."""
    pictured = "text" not in source and "vector" not in source
    verify = store.keeps_keypoints and pictured if asked.verify is None else asked.verify
    query = Query.for_store(
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
    images = [
        *(_weighted(image, 1.0, files) for image in asked.also),
        *(_weighted(image, -UNLIKE, files) for image in asked.unlike),
    ]
    features = [FurtherFeature(f.feature, f.search, f.weight) for f in asked.also_features]
    words = [(word.text, word.weight) for word in asked.also_text]
    return with_further(store.spec, query, images=images, features=features, words=words)


def _weighted(
    image: FurtherImage, usual: float, files: Sequence[dict[str, Any]]
) -> tuple[dict[str, Any], float]:
    """Return a further image as fields of a `Query`, and its weight, whose sign `usual` has."""
    weight = usual if image.weight is None else math.copysign(image.weight, usual)
    box = None if image.box is None else Region(*image.box)
    return source_of(image, files) | {"box": box, "context": image.context}, weight


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
