"""The application that answers below /page, and where it is mounted."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route

from indexer.errors import CbirError
from ui.api.service import Service
from ui.page_routes import (
    PREFIX,
    browsing,
    facts,
    failures,
    folders,
    hits,
    labels,
    located,
    mapping,
    queries,
    saving,
    scripts,
    working,
)
from ui.page_routes.answering import answer_error, answer_failure


def page_routes(service: Service, *, is_local: bool) -> Mount:
    """Return the routes of the pages.

    `is_local` says that the server is reached from its own machine only, and by no other name.
    """
    application = Starlette(
        routes=[
            Route("/bundle/{name}", scripts.show_script),
            Route("/queries", queries.put_query, methods=["POST"]),
            Route("/queries/{key}", queries.show_query),
            Route("/hits", hits.list_hits),
            Route("/images", hits.list_images),
            Route("/shapes", hits.list_shapes),
            Route("/filters", hits.list_filters),
            Route("/months", browsing.list_months),
            Route("/files", failures.list_problems),
            Route("/files.csv", failures.save_problems),
            Route("/map", mapping.show_points),
            Route("/map/groups", mapping.list_groups),
            Route("/map/sheet", mapping.show_sheet),
            Route("/jobs", working.list_jobs),
            Route("/jobs/{name}", working.start, methods=["POST"]),
            Route("/jobs/{name}/stop", working.stop, methods=["POST"]),
            Route("/facts", facts.show_facts),
            Route("/located", located.show_located),
            Route("/zip", saving.save_zip),
            Route("/hits.csv", saving.save_table),
            Route("/labels.json", labels.save_labels),
            Route("/labels", labels.read_labels, methods=["POST"]),
            Route("/open", folders.open_folder, methods=["POST"]),
        ],
        exception_handlers={
            Exception: answer_failure,
            CbirError: answer_error,
            HTTPException: answer_error,
        },
    )
    application.state.service = service
    application.state.is_local = is_local
    return Mount(PREFIX, application)
