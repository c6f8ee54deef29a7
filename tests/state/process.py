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

ORCHESTRATOR = Path(sys.executable).parent / "orchestrator"

COMPILES = {"PYTHONDONTWRITEBYTECODE": ""}
"""Python may keep what it compiles: a service that is deployed starts from that."""


@dataclass
class Process:
    """One that runs; ``seconds`` is how long it took until it was ready."""

    address: str
    process: subprocess.Popen[bytes]
    seconds: float = 0.0

    def kill(self) -> None:
        """As the machine does it when it runs out of memory."""
        self.process.kill()
        self.process.wait(10)


@contextmanager
def running(database: str, folder: Path, environ: Mapping[str, str] | None = None, port: int = 0) -> Iterator[Process]:
    """``orchestrator serve`` on loopback, once it is ready; its log is in ``folder``."""
    port = port or free_port()
    command = [str(ORCHESTRATOR), "serve", "--port", str(port), "--database", database]
    began = time.perf_counter()
    with (folder / f"serve-{port}.log").open("wb") as log:
        told = {**os.environ, **COMPILES, **(environ or {})}
        process = subprocess.Popen(command, env=told, cwd=folder, stdout=log, stderr=log)
        made = Process(f"http://127.0.0.1:{port}", process)
        try:
            _wait(made, folder / f"serve-{port}.log")
            made.seconds = time.perf_counter() - began
            yield made
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                made.kill()


def _wait(made: Process, log: Path) -> None:
    until = time.monotonic() + 60
    while True:
        if _is_ready(made):
            return
        if made.process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the service does not start: {log.read_text()[-2000:]}")
        time.sleep(0.01)


def _is_ready(made: Process) -> bool:
    """Asked so that asking costs next to nothing: the service that starts needs the processor."""
    connection = HTTPConnection(made.address.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
