"""Emulate eventual consistency: hide a new resource from the first reads, if the fault settings ask for it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from orchestrator.emulator.call_log import classify_access
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Target, parse_params
from orchestrator.emulator.service_base import EmulatorState


@dataclass(frozen=True)
class _ResourceKind:
    setting: str
    create_operation: str
    name_parameters: tuple[str, ...]
    error_code: str
    error_status: int


_RESOURCE_KINDS = {
    "iam": _ResourceKind("role", "CreateRole", ("RoleName",), "NoSuchEntity", 404),
    "s3": _ResourceKind("bucket", "CreateBucket", ("Bucket",), "NoSuchBucket", 404),
    "ecs": _ResourceKind(
        "service",
        "CreateExpressGatewayService",
        ("serviceArn", "serviceName"),
        "ResourceNotFoundException",
        400,
    ),
    "secretsmanager": _ResourceKind("secret", "CreateSecret", ("SecretId", "Name"), "ResourceNotFoundException", 400),
}


class EventualConsistency:
    """Tracks which new roles, buckets, secrets and Express services reads do not see yet, in one emulator."""

    def __init__(self, state: EmulatorState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._hidden_reads_left: dict[tuple[str, str], int] = {}

    def clear(self) -> None:
        """Make every resource visible."""
        with self._lock:
            self._hidden_reads_left.clear()

    def check_read(self, target: Target, request: Request) -> AwsError | None:
        """Return the not-found error for a read of a resource that is still hidden, or None."""
        kind = _RESOURCE_KINDS.get(target.service)
        if kind is None or not self._hidden_reads_left or classify_access(target.operation) == "write":
            return None
        name = _resource_name(kind, target, request)
        with self._lock:
            reads_left = self._hidden_reads_left.get((kind.setting, name), 0)
            if reads_left <= 0:
                return None
            self._hidden_reads_left[kind.setting, name] = reads_left - 1
        return AwsError(kind.error_code, f"{name} cannot be found", kind.error_status)

    def record_create(self, target: Target, request: Request, response: Response) -> None:
        """Hide the resource that a successful create call has made from the next reads."""
        kind = _RESOURCE_KINDS.get(target.service)
        faults = self._state.faults
        if kind is None or target.operation != kind.create_operation or response.status >= 300:
            return
        hidden_reads = int(faults.unseen_reads.get(kind.setting, 0))
        if not hidden_reads and not faults.role_assumable_after_seconds:
            return
        name = _resource_name(kind, target, request)
        with self._lock:
            if hidden_reads:
                self._hidden_reads_left[kind.setting, name] = hidden_reads
            if kind.setting == "role":
                self._state.role_created_at[name] = time.monotonic()


def _resource_name(kind: _ResourceKind, target: Target, request: Request) -> str:
    """Return the name of the resource that a call targets, taken from the ARN of a secret or an Express service."""
    try:
        params = parse_params(request, target)
    except AwsError:
        return ""
    name = str(next((params[parameter] for parameter in kind.name_parameters if parameter in params), ""))
    if name.startswith("arn:") and kind.setting == "secret":
        return name.rpartition(":")[2].rpartition("-")[0]
    return name.rpartition("/")[2] if kind.setting == "service" else name
