"""Run the AWS emulator in a separate process, so that the measuring process stays small.

As a module it is that process: it prints its environment variables as JSON, and exits when its standard input closes.
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
    """A running emulator and its control endpoint; ``environment`` points AWS clients to it."""

    environment: dict[str, str]

    def calls(self) -> list[dict[str, Any]]:
        """Return the calls since ``forget_calls``, in order of arrival."""
        calls: list[dict[str, Any]] = self._control("GET", "calls")["calls"]
        return calls

    def forget_calls(self) -> None:
        """Clear the log of calls."""
        self._control("DELETE", "calls")

    def set_latency(self, milliseconds: float) -> None:
        """Delay every further call by ``milliseconds``."""
        self._control("PUT", "faults", {"latency_ms": milliseconds})

    def reset(self) -> None:
        """Delete all resources."""
        self._control("POST", "reset")

    def _control(self, method: str, endpoint: str, body: Any = None) -> Any:
        url = f"{self.environment['AWS_ENDPOINT_URL']}/_orchestrator/{endpoint}"
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(url, data=data, method=method), timeout=60) as response:
            return json.load(response)


@contextlib.contextmanager
def run_emulator() -> Iterator[EmulatorProcess]:
    """Run an empty emulator while the context lasts."""
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
