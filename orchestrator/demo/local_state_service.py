"""Run a state service during the demo: on loopback, with a database in a temporary folder."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.runs.settings import Settings

TOKEN_SCOPES = ("read", "propose", "write")
TOKEN_TTL_SECONDS = 86_400.0
START_TIMEOUT_SECONDS = 30.0
"""Maximum time to wait for the service to start."""


@contextmanager
def run_state_service(environ: MutableMapping[str, str]) -> Iterator[str]:
    """Run the service, set the variables that point runs to it, and yield its address; "" if it is not installed."""
    try:
        import uvicorn

        from orchestrator.state.server import app
        from orchestrator.state.server.settings import Settings as ServiceSettings
    except ImportError:
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="orchestrator-demo-state-") as folder:
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        service_settings = ServiceSettings(
            database=f"sqlite:///{Path(folder) / 'state.db'}", port=listener.getsockname()[1]
        )
        service: Any = app.create_app(service_settings)
        config = uvicorn.Config(
            service, log_config=None, access_log=False, proxy_headers=False, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="dashboard", daemon=True)
        thread.start()
        previous_environment = {
            name: environ.pop(name, None) for name in ("ORCHESTRATOR_STATE_URL", "ORCHESTRATOR_STATE_TOKEN")
        }
        try:
            _wait_until_started(server)
            environ["ORCHESTRATOR_STATE_URL"] = address
            environ["ORCHESTRATOR_STATE_TOKEN"] = _create_token(service)
            yield address
        finally:
            for name, value in previous_environment.items():
                environ.pop(name, None)
                environ.update({name: value} if value is not None else {})
            server.should_exit = True
            thread.join(10)
            listener.close()


def wait_for_interrupt(settings: Settings, address: str) -> None:
    """On a terminal, print the address and keep the service running until Ctrl-C; otherwise return at once."""
    terminal = settings.terminal
    if not address or not terminal.is_interactive:
        return
    terminal.print_out(f"\nSee the dashboard: {address} (press Ctrl-C to stop it)")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        terminal.print_out("")


def _wait_until_started(server: Any) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)


def _create_token(service: Any) -> str:
    from orchestrator.state.server.access import TokenGrant, create_token

    return create_token(service.state.store, "demo", TokenGrant(TOKEN_SCOPES), TOKEN_TTL_SECONDS, "the demo")
