"""Run MiniStack as a child process on a free loopback port, for as long as the emulator runs.

The child reads its standard input and exits at end of file, so it cannot outlive a parent that was killed. A fork of
this process shares the one MiniStack: only the process that started it stops it.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO, Any

from orchestrator.emulator.error_responses import serialise_error
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Target

_START_TIMEOUT_SECONDS = 20.0
_CALL_TIMEOUT_SECONDS = 30.0
_HOP_HEADERS = frozenset(
    {"connection", "content-length", "transfer-encoding", "expect", "date", "server", "keep-alive"}
)
_CHILD_SCRIPT = """
import os, sys, threading
def follow():
    sys.stdin.buffer.read()
    os._exit(0)
threading.Thread(target=follow, daemon=True).start()
from ministack.app import main
sys.argv = ["ministack"]
main()
"""


class MiniStackBackend:
    """AWS by MiniStack, for one account and region."""

    name = "ministack"

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._owner_pid = 0
        self._pool = _ConnectionPool()
        self._log_file: IO[bytes] | None = None

    def start(self) -> None:
        """Start the process and wait until it answers. Raises RuntimeError with the end of its log."""
        self._port, self._owner_pid = _find_free_port(), os.getpid()
        self._pool = _ConnectionPool()
        self._log_file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CHILD_SCRIPT],
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=self._log_file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                log_tail = self._log_tail()
                self.stop()
                raise RuntimeError(f"MiniStack did not start:\n{log_tail}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the process, unless it belongs to the parent of a fork."""
        process, self._process = self._process, None
        self._pool.close()
        if process is None or self._owner_pid != os.getpid():
            return
        # Its state is in memory only, so no graceful shutdown is needed: kill the whole session at once.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()
        if self._log_file:
            self._log_file.close()

    def reset(self) -> None:
        """Delete every resource, with MiniStack's own reset."""
        self._exchange(Request("POST", "/_ministack/reset", (("Host", "127.0.0.1"),)))

    def add_managed_policy(self, name: str, policy: dict[str, Any]) -> None:
        """Do nothing: MiniStack accepts any managed policy."""

    def set_current_secret_version(self, region: str, secret_id: str, version_id: str) -> None:
        """Do nothing: MiniStack follows the label."""

    def handle_registry(self, request: Request) -> Response | None:
        """Answer with MiniStack's registry, under /v2/."""
        return self._exchange(request)

    def forward(self, request: Request, target: Target) -> Response:
        """Forward one request; if MiniStack does not answer, return a 500 in the service's protocol."""
        try:
            return self._exchange(request)
        except (OSError, http.client.HTTPException) as error:
            aws_error = AwsError("InternalFailure", f"ministack: {type(error).__name__}: {error}", 500)
            return serialise_error(target, aws_error, "ministack")

    def _environment(self) -> dict[str, str]:
        inherited = {
            name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "PYTHONPATH", "LANG") if name in os.environ
        }
        return {
            **inherited,
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self._port),
            "IOT_MTLS_ENABLED": "0",
            "MINISTACK_ACCOUNT_ID": self._account,
            "MINISTACK_REGION": self._region,
            "PYTHONWARNINGS": "ignore",
        }

    def _is_ready(self) -> bool:
        try:
            return self._exchange(Request("GET", "/_ministack/health", (("Host", "127.0.0.1"),))).status == 200
        except (OSError, http.client.HTTPException):
            return False

    def _log_tail(self) -> str:
        if self._log_file is None:
            return ""
        self._log_file.seek(0)
        return self._log_file.read().decode(errors="replace")[-2000:]

    def _exchange(self, request: Request) -> Response:
        """Send one request on a pooled connection; replace a stale connection once."""
        connection, is_reused = self._pool.acquire(self._port)
        try:
            response = _send(connection, request)
        except (OSError, http.client.HTTPException):
            connection.close()
            if not is_reused:
                raise
            connection, _ = self._pool.acquire(self._port, is_new=True)
            response = _send(connection, request)
        self._pool.release(connection)
        return response


class _ConnectionPool:
    """Idle keep-alive connections to MiniStack."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._owner_pid = os.getpid()

    def acquire(self, port: int, *, is_new: bool = False) -> tuple[http.client.HTTPConnection, bool]:
        """Return a connection, and whether it is reused; after a fork, the parent's are not reused."""
        with self._lock:
            if self._owner_pid != os.getpid():
                self._idle, self._owner_pid = [], os.getpid()
            if self._idle and not is_new:
                return self._idle.pop(), True
        return http.client.HTTPConnection("127.0.0.1", port, timeout=_CALL_TIMEOUT_SECONDS), False

    def release(self, connection: http.client.HTTPConnection) -> None:
        """Return a connection to the pool."""
        with self._lock:
            self._idle.append(connection)

    def close(self) -> None:
        """Close every idle connection."""
        with self._lock:
            for connection in self._idle:
                with contextlib.suppress(OSError):
                    connection.close()
            self._idle.clear()


def _send(connection: http.client.HTTPConnection, request: Request) -> Response:
    connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
    for name, value in request.headers:
        if name.lower() not in _HOP_HEADERS:
            connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(request.body)))
    connection.endheaders(request.body)
    http_response = connection.getresponse()
    body = http_response.read()
    header_pairs = http_response.getheaders()
    headers = tuple((name, value) for name, value in header_pairs if name.lower() not in _HOP_HEADERS)
    length = http_response.getheader("content-length")
    head_length = int(length) if request.method == "HEAD" and length else None
    return Response(http_response.status, headers, body, head_length)


def _find_free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
