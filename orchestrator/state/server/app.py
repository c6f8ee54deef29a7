"""The service: an ASGI application on a store."""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from starlette.responses import PlainTextResponse, Response

import orchestrator
from orchestrator.state.server import api, model_stores, oidc, problem_details
from orchestrator.state.server.access import Access
from orchestrator.state.server.middleware import Guard, Measures
from orchestrator.state.server.request_context import Reader
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from orchestrator.state.server.store.database import OVERFLOW, POOL, reading
from orchestrator.state.server.webhooks import Messenger

PAGES = "orchestrator.state.server.pages"


def create(
    settings: Settings, store: Store | None = None, *, log: Any = None, fetch: oidc.Fetch = oidc.fetch
) -> FastAPI:
    """The service for these settings.

    ``app.state`` holds ``store``, ``settings``, ``access``, ``measures`` and ``shelves`` for the pages.  Raises
    Problems when the database cannot be used, or the settings name no place of models where they should.
    """
    kept = store or Store.open(settings.database)
    messenger = Messenger(kept, settings, log)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = POOL + OVERFLOW  # more would wait for a connection
        messenger.start()
        yield
        messenger.stop()
        kept.engine.dispose()

    app = FastAPI(
        title="orchestrator state",
        version=orchestrator.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
    )
    app.state.store, app.state.settings = kept, settings
    app.state.access, app.state.measures = Access(kept, settings), Measures()
    app.state.shelves = model_stores.of(settings.models)
    app.state.keys = oidc.Keys(settings.issuer, fetch)
    problem_details.install(app)
    api.serve(app)
    _health(app)
    _people(app, settings)
    app.add_middleware(Guard, measures=app.state.measures, log=log, secure=settings.is_secure, at_home=settings.is_open)
    return app


def _people(app: FastAPI, settings: Settings) -> None:
    """Sign-in, and the pages where they are built."""
    if settings.signs_people_in:
        from orchestrator.state.server import signin

        app.include_router(signin.router)
    if importlib.util.find_spec(PAGES) is not None:
        importlib.import_module(PAGES).mount(app)


def _health(app: FastAPI) -> None:
    @app.get("/healthz", include_in_schema=False)
    def healthz() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    def readyz(request: Request) -> Response:
        with reading(request.app.state.store.engine) as connection:
            connection.execute(text("SELECT 1"))
        return PlainTextResponse("ready\n")

    @app.get("/metrics", include_in_schema=False)
    def metrics(request: Request, _: Reader) -> Response:
        return Response(generate_latest(request.app.state.measures.registry), media_type=CONTENT_TYPE_LATEST)
