"""The route that says what the store holds."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from indexer.store.statistics import summarize
from ui.api.models import StoreFacts
from ui.api.problems import responses
from ui.api.service import Service, service_of

router = APIRouter(tags=["store"])


@router.get("/store", responses=responses())
async def show_store(request: Request) -> StoreFacts:
    """Say what the store holds, and how its images are described."""
    return await run_in_threadpool(_facts, service_of(request))


def _facts(service: Service) -> StoreFacts:
    engine = service.opened.engine
    store, spec = engine.store, engine.collection.spec
    summary = summarize(store)
    return StoreFacts(
        images=summary.images,
        failed=len(summary.failed),
        vectors=summary.vectors,
        dimensions=summary.dimensions,
        index_type=store.reader.state().index_type,
        fingerprint=spec.fingerprint,
        spec=asdict(spec),
        roots=summary.roots,
        commits=store.commits(),
        takes_images=service.takes_images,
    )
