"""The ASGI application of the API, and the routes beside it."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from indexer.errors import CbirError
from ui.api import duplicates, facts, images, jobs, locating, searching
from ui.api.limits import Admission, BodyLimits
from ui.api.problems import Problem, answer_problem, answer_with_problems
from ui.api.service import Service
from ui.api.watching import Figures, Watched

PREFIX = "/v1"
HEALTH = "/healthz"
METRICS = "/metrics"
DESCRIPTION = (
    "Find where you have seen an image, or a part of it, before. Send the token, if the server "
    "has one, as `Authorization: Bearer TOKEN`."
)


def routes(service: Service) -> list[BaseRoute]:
    """Return the routes of the API, of its health and of its figures."""
    figures = Figures(service)

    def healthy(_request: Request) -> Response:
        try:
            service.opened.engine.store.commits()
        except CbirError as error:  # the store cannot be read
            return answer_problem(error)
        return JSONResponse({"status": "ok"})

    return [
        Mount(PREFIX, create_api(service, figures)),
        Route(HEALTH, healthy),
        Route(METRICS, figures.answer),
    ]


def create_api(service: Service, figures: Figures) -> FastAPI:
    """Return the application that answers below `/v1`."""
    api = FastAPI(
        title="cbir",
        version=version("cbir"),
        description=DESCRIPTION,
        docs_url=None,  # its pages would be fetched from the network
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    api.state.service = service
    for part in (searching, locating, images, duplicates, jobs, facts):
        api.include_router(part.router)
    answer_with_problems(api)
    api.add_middleware(BodyLimits, limits=service.limits)
    api.add_middleware(Admission, places=service.places)
    api.add_middleware(Watched, figures=figures)
    _describe(api)
    return api


def _describe(api: FastAPI) -> None:
    """Add what FastAPI does not know to the description: problems, and the token."""
    schema = api.openapi()
    parts = schema.setdefault("components", {})
    parts.setdefault("schemas", {})["Problem"] = Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(unused, None)
    parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"token": []}, {}]
