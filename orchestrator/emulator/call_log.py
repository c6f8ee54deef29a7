"""The ordered record of the AWS calls an emulator answered, and what counts as a read.

Holds names, times and codes only: never a parameter, so no secret value can come out of it.
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
    """Whether an operation (``DescribeDBInstances``) reads or writes, by the prefix of its name."""
    return "read" if operation.startswith(_READ_PREFIXES) else "write"


@dataclass(frozen=True, slots=True)
class Call:
    """One AWS call.  ``started`` and ``ended`` are seconds of the monotonic clock; ``ended`` is None while in flight.

    ``status`` is the HTTP status answered, or 0 when the connection was dropped without an answer.
    ``executed`` says whether the call reached the service; ``fault`` names the fault that was injected, if any.
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
        """``service:Operation``, as in ``rds:DescribeDBInstances``."""
        return f"{self.service}:{self.operation}"


class CallLog:
    """An append-only, thread-safe list of calls, numbered from 1 in order of arrival."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._next_number = 1

    def start(self, service: str, operation: str, region: str) -> Call:
        """Note a call that has just arrived."""
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
        """Note how the call ended."""
        finished_call = replace(
            call, ended=time.monotonic(), status=status, error=error, executed=executed, fault=fault
        )
        with self._lock:
            first_number = self._calls[0].n if self._calls else self._next_number
            if call.n >= first_number:
                self._calls[call.n - first_number] = finished_call

    def list_calls(self) -> list[Call]:
        """A copy of the calls so far, in order of arrival, in-flight ones included."""
        with self._lock:
            return list(self._calls)

    def clear(self) -> None:
        """Drop what was recorded and number from 1 again."""
        with self._lock:
            self._calls.clear()
            self._next_number = 1
