"""The service as a process of its own, as it is deployed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.state.postgres import free_port

ORCHESTRATOR_PATH = Path(sys.executable).parent / "orchestrator"

BYTECODE_ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": ""}
"""Python may keep what it compiles: a service that is deployed starts from that."""


@dataclass
class ServerProcess:
    """One that runs; ``seconds`` is how long it took until it was ready."""

    address: str
    process: subprocess.Popen[bytes]
    startup_seconds: float = 0.0

    def kill(self) -> None:
        """As the machine does it when it runs out of memory."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def run_server(
    database: str, folder: Path, environ: Mapping[str, str] | None = None, port: int = 0
) -> Iterator[ServerProcess]:
    """``orchestrator serve`` on loopback, once it is ready; its log is in ``folder``."""
    port = port or free_port()
    command = [str(ORCHESTRATOR_PATH), "serve", "--port", str(port), "--database", database]
    started_at = time.perf_counter()
    with (folder / f"serve-{port}.log").open("wb") as log:
        environment = {**os.environ, **BYTECODE_ENVIRONMENT, **(environ or {})}
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        server = ServerProcess(f"http://127.0.0.1:{port}", process)
        try:
            _wait_until_ready(server, folder / f"serve-{port}.log")
            server.startup_seconds = time.perf_counter() - started_at
            yield server
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()


def _wait_until_ready(server: ServerProcess, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        if _is_ready(server):
            return
        if server.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the service does not start: {log.read_text()[-2000:]}")
        time.sleep(0.01)


def _is_ready(server: ServerProcess) -> bool:
    """Asked so that asking costs next to nothing: the service that starts needs the processor."""
    connection = HTTPConnection(server.address.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
