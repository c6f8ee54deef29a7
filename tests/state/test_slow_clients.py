"""Clients that begin and never end: unfinished headers and bodies are given up, what is served goes on.

600 connections with unfinished headers once stayed for ever: uvicorn limits only the time between two requests.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from orchestrator.state.protocol.records import RunResult
from orchestrator.state.server import http_protocol
from orchestrator.state.server.http_protocol import BoundedH11Protocol
from orchestrator.state.server.settings import Settings
from orchestrator.state.server.store import Store
from tests.state.pages.page_service import serve
from tests.state.test_run_stream import AT, begin

CLIENTS = 60
COMPLETE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
STARTS = {
    "nothing": b"",
    "half a line": b"GET /heal",
    "half of the headers": b"GET /healthz HTTP/1.1\r\nHost: loc",
    "headers without an end": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: y\r\n",
    "a second request": COMPLETE + b"GET /heal",
}


class Impatient(BoundedH11Protocol):
    """The limit, so short that a test can wait for it."""

    max_header_seconds = 0.5


@pytest.fixture
def address(store: Store) -> Iterator[tuple[str, int]]:
    with serve(store, Settings(database=""), http=Impatient) as url:
        parts = urlsplit(url)
        yield str(parts.hostname), int(parts.port or 0)


def is_closed(connection: socket.socket) -> bool:
    """Whether the service has ended it; what it answered before does not count."""
    connection.setblocking(False)
    try:
        while data := connection.recv(65536):
            assert data
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


@pytest.mark.parametrize("start", STARTS)
def test_unfinished_headers_are_given_up(address: tuple[str, int], start: str) -> None:
    """Also of a client that sends a byte now and then; and others are served meanwhile."""
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.create_connection(address)) for _ in range(CLIENTS)]
        for connection in connections:
            connection.sendall(STARTS[start])
        deadline = time.monotonic() + 9  # seconds; of an idle connection uvicorn itself is rid after 5
        while not all(is_closed(connection) for connection in connections):
            assert time.monotonic() < deadline, "connections stay open"
            assert httpx.get(f"http://{address[0]}:{address[1]}/healthz", timeout=5).status_code == 200
            for connection in connections[:5]:
                connection.setblocking(True)
                with suppress(ConnectionError):
                    connection.sendall(b"a" if STARTS[start] else b"")
            time.sleep(0.05)


def test_a_stream_outlasts_the_limit(store: Store, address: tuple[str, int]) -> None:
    """It is for headers only."""
    fence = begin(store, 1)
    started_at, seen = time.monotonic(), []
    url = f"http://{address[0]}:{address[1]}/runs/r1/live"
    with httpx.Client(timeout=30) as client, client.stream("GET", url) as answer:
        for line in answer.iter_lines():
            seen.append(line)
            if line.startswith("event: board") and "event: over" not in seen:
                time.sleep(max(0.0, started_at + 3 * Impatient.max_header_seconds - time.monotonic()))
                store.end_run("r1", fence, RunResult("succeeded", AT), "ana")
    assert "event: over" in seen


def test_the_service_has_the_limit_as_it_is_started(store: Store) -> None:
    """A limit that only tests have protects nobody; the real one is below the health checks' patience."""
    with serve(store, Settings(database="")) as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
    assert 1 <= http_protocol.MAX_HEADER_SECONDS <= 30
