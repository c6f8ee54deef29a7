"""The real service on loopback, and the pages it has."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from orchestrator.state.server import app
from orchestrator.state.server.http_protocol import BoundedH11Protocol
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from tests.state.pages.sample_history import NOW, FakeClock, fill_store

PLAN_DIGEST = hashlib.sha256(b"rich").hexdigest()
PAGES = {
    "environments": "/",
    "environment": "/e/joiabagur/prod",
    "staging": "/e/joiabagur/staging",
    "run": "/runs/prod-last",
    "run-failed": "/runs/demo-1",
    "run-live": "/runs/staging-live",
    "run-queued": "/runs/staging-next",
    "run-superseded": "/runs/merge-1",
    "plan": f"/plans/{PLAN_DIGEST}",
    "releases": "/e/joiabagur/prod/releases",
    "comparison": "/e/joiabagur/prod/releases?from=20&to=28",
    "drift": "/e/joiabagur/prod/drift",
    "cost": "/e/joiabagur/prod/cost",
    "no-cost": "/e/joiabagur/demo/cost",
    "recovery": "/e/joiabagur/prod/recovery",
    "review": "/e/joiabagur/prod/review",
    "no-review": "/e/joiabagur/demo/review",
    "digest": "/digest?week=2026-11-16",
    "history": "/history",
    "log": "/history/log",
    "models": "/models",
    "not-found": "/e/joiabagur/nowhere",
    "nothing-matches": "/history?by=nobody",
    "no-release": "/e/joiabagur/demo/releases",
    "no-drift": "/e/joiabagur/demo/drift",
}


@contextmanager
def serve(
    store: Store, settings: Settings, *, http: type[BoundedH11Protocol] = BoundedH11Protocol, **more: Any
) -> Iterator[str]:
    """The service over ``store``; its address."""
    service = app.create_app(settings, store, **more)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(
            service,
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            lifespan="on",
            http=http,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


def make_settings(folder: Path, **more: Any) -> Settings:
    """The service's settings for a database in ``folder``."""
    return Settings(database=f"sqlite:///{folder / 'state.db'}", repository="joiabagur/joiabagur-pv", **more)


@contextmanager
def serve_sample_history(folder: Path, **more: str) -> Iterator[tuple[str, Store, FakeClock]]:
    """The service over fourteen weeks of history."""
    service_settings, clock = make_settings(folder, **more), FakeClock(NOW)
    store = Store.open(service_settings.database, clock)
    fill_store(store, clock)
    with serve(store, service_settings) as address:
        yield address, store, clock
