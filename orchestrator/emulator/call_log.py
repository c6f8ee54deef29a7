"""Record the AWS calls that an emulator answers, in order, and classify operations as reads or writes.

The log holds names, times and codes but never a parameter, so it cannot leak a secret value.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Literal

Access = Literal["read", "write"]

_READ_PREFIXES = (
    "Describe", "Get", "List", "Head", "Lookup", "BatchGet", "BatchCheck", "Select", "Search", "Filter", "Simulate",
    "Estimate", "Validate", "Test", "Decode", "Query", "Scan", "Preview", "AssumeRole",
)  # fmt: skip
_SECRET_READ_OPERATIONS = frozenset(
    {("secretsmanager", "GetSecretValue"), ("secretsmanager", "BatchGetSecretValue"), ("ecr", "GetAuthorizationToken")}
)


def classify_access(operation: str) -> Access:
    """Return whether an operation (``DescribeDBInstances``) reads or writes, by the prefix of its name."""
    return "read" if operation.startswith(_READ_PREFIXES) else "write"


@dataclass(frozen=True, slots=True)
class Call:
    """One AWS call. ``started`` and ``ended`` are monotonic-clock seconds; ``ended`` is None while in flight.

    ``status`` is the HTTP status of the response, or 0 when the connection was dropped without a response.
    ``executed`` is whether the call reached the service; ``fault`` names the injected fault, or is "".
    ``reads_secret`` marks GetSecretValue and ecr GetAuthorizationToken, which a plan must never make.
    """

    n: int
    service: str
    operation: str
    region: str
    access: Access
    reads_secret: bool
    started: float
    ended: float | None = None
    status: int = 0
    error: str = ""
    executed: bool = False
    fault: str = ""

    @property
    def name(self) -> str:
        """Return ``service:Operation``, as in ``rds:DescribeDBInstances``."""
        return f"{self.service}:{self.operation}"


class CallLog:
    """An append-only, thread-safe list of calls, numbered from 1 in order of arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._next_number = 1

    def start(self, service: str, operation: str, region: str) -> Call:
        """Record a call that has just arrived."""
        reads_secret = (service, operation) in _SECRET_READ_OPERATIONS
        with self._lock:
            call = Call(
                self._next_number,
                service,
                operation,
                region,
                classify_access(operation),
                reads_secret,
                started=time.monotonic(),
            )
            self._next_number += 1
            self._calls.append(call)
            return call

    def finish(self, call: Call, *, status: int, error: str, executed: bool, fault: str) -> None:
        """Record how a call ended."""
        finished_call = replace(
            call, ended=time.monotonic(), status=status, error=error, executed=executed, fault=fault
        )
        with self._lock:
            first_number = self._calls[0].n if self._calls else self._next_number
            if call.n >= first_number:
                self._calls[call.n - first_number] = finished_call

    def list_calls(self) -> list[Call]:
        """Return a copy of the calls so far, in order of arrival, including calls in flight."""
        with self._lock:
            return list(self._calls)

    def clear(self) -> None:
        """Drop the recorded calls and number from 1 again."""
        with self._lock:
            self._calls.clear()
            self._next_number = 1
