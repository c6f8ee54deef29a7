"""Build the ASGI application of the state service."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, HTTPException, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import PlainTextResponse, Response
from starlette.types import Scope

import orchestrator
from orchestrator.problems import Problems
from orchestrator.state.server import api, model_stores, oidc, problem_details
from orchestrator.state.server.access import ANONYMOUS, Authenticator
from orchestrator.state.server.middleware import RequestMiddleware
from orchestrator.state.server.rate_limits import RequestLimits
from orchestrator.state.server.request_context import CurrentReader, get_identity
from orchestrator.state.server.routing import THREADS_BY_GROUP, run_in_one_thread
from orchestrator.state.server.service_metrics import ServiceMetrics
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from orchestrator.state.server.store.database import DEFAULT_THREADS, read_connection
from orchestrator.state.server.webhooks import WebhookWorker

PAGES_MODULE = "orchestrator.state.server.pages"


def create_app(
    settings: Settings, store: Store | None = None, *, log: Any = None, fetch: oidc.FetchJson = oidc.fetch_json
) -> FastAPI:
    """Return the application for these settings.

    ``app.state`` holds ``store``, ``settings``, ``authenticator``, ``metrics``, ``model_stores`` and ``jwks``.
    Raises Problems if the database cannot be used or ``State__Models`` is invalid.
    """
    app_store = store or Store.open(settings.database)
    webhook_worker = WebhookWorker(app_store, settings, log)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = DEFAULT_THREADS
        app.state.thread_limiters = {group: CapacityLimiter(size) for group, size in THREADS_BY_GROUP.items()}
        webhook_worker.start()
        yield
        webhook_worker.stop()
        app_store.engine.dispose()

    app = FastAPI(
        title="orchestrator state",
        version=orchestrator.__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/v1/openapi.json",
        redirect_slashes=False,  # such a redirect would go to whatever host the request names
    )
    app.state.store, app.state.settings = app_store, settings
    app.state.authenticator, app.state.metrics = Authenticator(app_store, settings), ServiceMetrics()
    app.state.model_stores = model_stores.parse_model_stores(settings.models)
    app.state.disk_full_until = 0.0
    app.state.jwks = oidc.JwksCache(settings.issuer, fetch)
    problem_details.install_error_handlers(app)
    api.install(app)
    _add_health_routes(app)
    _add_sign_in_and_pages(app, settings)
    limits = RequestLimits(identify_client)
    app.add_middleware(RequestMiddleware, metrics=app.state.metrics, log=log, limits=limits, settings=settings)
    return app


def identify_client(scope: Scope) -> str:
    """Return the name of the client of a request, "" if it does not prove its identity."""
    request = Request(scope)
    try:
        if request.url.path == f"{api.API_PREFIX}/token":
            settings, token = request.app.state.settings, request.headers.get("authorization", "").partition(" ")[2]
            oidc.verify_token(settings, request.app.state.jwks, token, can_fetch=False)
            return "a workflow"
        identity = get_identity(request)
    except (Problems, SQLAlchemyError, oidc.JwksUnavailableError):
        return ""
    return identity.name if identity.scopes and identity.name != ANONYMOUS.name else ""


def _add_sign_in_and_pages(app: FastAPI, settings: Settings) -> None:
    """Add GitHub sign-in if it is configured, and the pages if they are installed."""
    if settings.is_sign_in_enabled:
        from orchestrator.state.server import signin

        app.include_router(signin.router)
    if importlib.util.find_spec(PAGES_MODULE) is not None:
        importlib.import_module(PAGES_MODULE).install(app)


def _add_health_routes(app: FastAPI) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def get_liveness() -> Response:
        return PlainTextResponse("ok\n")

    def get_readiness(request: Request) -> Response:
        with read_connection(request.app.state.store.engine) as connection:
            connection.execute(text("SELECT 1"))
        if time.monotonic() < request.app.state.disk_full_until:
            raise HTTPException(503, "the database's disk is full")
        return PlainTextResponse("ready\n")

    app.add_api_route("/readyz", run_in_one_thread(get_readiness, "probes"), methods=["GET"], include_in_schema=False)

    @app.get("/metrics", include_in_schema=False)
    def get_metrics(request: Request, _: CurrentReader) -> Response:
        return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)
