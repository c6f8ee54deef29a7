"""The embedded AWS in a process of its own, so that the measuring process stays small.

Run as a module it is that process: it prints where it listens, and ends when its standard input does.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen


@dataclass(frozen=True, slots=True)
class EmulatorProcess:
    """One running emulator, spoken to over its control endpoint.  ``environment`` turns AWS clients to it."""

    environment: dict[str, str]

    def calls(self) -> list[dict[str, Any]]:
        """The calls since they were last forgotten, in order of arrival."""
        calls: list[dict[str, Any]] = self._control("GET", "calls")["calls"]
        return calls

    def forget_calls(self) -> None:
        """Count from zero."""
        self._control("DELETE", "calls")

    def set_latency(self, milliseconds: float) -> None:
        """From now on every call takes so much longer."""
        self._control("PUT", "faults", {"latency_ms": milliseconds})

    def reset(self) -> None:
        """Empty AWS."""
        self._control("POST", "reset")

    def _control(self, method: str, endpoint: str, body: Any = None) -> Any:
        url = f"{self.environment['AWS_ENDPOINT_URL']}/_orchestrator/{endpoint}"
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(url, data=data, method=method), timeout=60) as response:
            return json.load(response)


@contextlib.contextmanager
def run_emulator() -> Iterator[EmulatorProcess]:
    """An empty AWS for as long as the context lasts."""
    command = [sys.executable, "-m", "tests.benchmarks.emulator_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first_line = process.stdout.readline()
        if not first_line:
            raise RuntimeError("the emulator did not start")
        try:
            yield EmulatorProcess(json.loads(first_line))
        finally:
            assert process.stdin is not None
            process.stdin.close()


def main() -> None:
    from orchestrator.emulator import start

    with start() as started_emulator:
        print(json.dumps(started_emulator.environment), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
