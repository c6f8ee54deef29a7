"""Run MiniStack inside this process, so that a fork copies its whole state.

It is the application of the emulator's MiniStack backend, called through ASGI instead of HTTP.  Its schedulers and
listeners are not started: they are threads, and the proofs do not need them.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from orchestrator.emulator import Emulator, Faults
from orchestrator.emulator.backends.ministack import MiniStackBackend
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import preload
from orchestrator.emulator.service_base import EmulatorState
from tests.proofs.real_stack import aws_environment

ACCOUNT, REGION = "123456789012", "eu-west-1"


class InProcessMiniStack(MiniStackBackend):
    """MiniStack, one request at a time."""

    def __init__(self, account: str, region: str) -> None:
        super().__init__(account, region)
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._process_id = 0
        self._application: Any = None

    def start(self) -> None:
        """Load MiniStack for the configured account and region."""
        os.environ.update(self._environment(), LOG_LEVEL="ERROR")
        from ministack.app import app

        self._application = app

    def stop(self) -> None:
        """Do nothing: the state ends with the process."""

    def _exchange(self, request: Request) -> Response:
        with self._lock:
            if self._process_id != os.getpid():  # an event loop has threads, which a fork does not inherit
                self._loop, self._process_id = asyncio.new_event_loop(), os.getpid()
            assert self._loop is not None
            return self._loop.run_until_complete(call_asgi(self._application, request))


async def call_asgi(application: Any, request: Request) -> Response:
    """Send one request to an ASGI application, and return its response."""
    messages: list[dict[str, Any]] = []
    pending = [{"type": "http.request", "body": request.body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return pending.pop() if pending else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    await application(_make_scope(request), receive, send)
    status = next(message for message in messages if message["type"] == "http.response.start")
    body = b"".join(message.get("body", b"") for message in messages if message["type"] == "http.response.body")
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in status["headers"]]
    return _make_response(request, status["status"], pairs, body)


def _make_response(request: Request, status: int, pairs: list[tuple[str, str]], body: bytes) -> Response:
    hop_by_hop_headers = {"connection", "content-length", "date", "server", "transfer-encoding"}
    headers = tuple((name, value) for name, value in pairs if name.lower() not in hop_by_hop_headers)
    length = next((int(value) for name, value in pairs if name.lower() == "content-length"), None)
    if request.method == "HEAD":
        return Response(status, headers, b"", length or None)
    return Response(status, headers, body)


def _make_scope(request: Request) -> dict[str, Any]:
    path, _, query = request.target.partition("?")
    headers = [(name, value) for name, value in request.headers if name.lower() not in {"content-length", "expect"}]
    headers.append(("content-length", str(len(request.body))))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": request.method,
        "path": unquote(path),
        "raw_path": path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
    }


@contextmanager
def run_ministack() -> Iterator[Emulator]:
    """Provide an empty emulated account on an in-process MiniStack; at most one per process."""
    preload()
    backend = InProcessMiniStack(ACCOUNT, REGION)
    backend.start()
    with Emulator(backend, EmulatorState(ACCOUNT, REGION, backend, 0.0, Faults()), 0) as emulator:
        emulator.open()
        with aws_environment(emulator):
            yield emulator
