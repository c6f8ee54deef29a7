"""Emulate eventual consistency: hide a new resource from the first reads, if the fault settings ask for it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from urllib.parse import unquote

from orchestrator.emulator.call_log import classify_access
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params, Target, parse_params
from orchestrator.emulator.service_base import EmulatorState


@dataclass(frozen=True)
class _ResourceKind:
    """What may be hidden: the key of the setting, the calls that create it, and how AWS says that it is not there.

    ``read_operations``: the reads that miss it; () for all reads of its service that name it.
    """

    setting: str
    service: str
    create_operations: tuple[str, ...]
    name_parameters: tuple[str, ...]
    error_code: str
    error_status: int
    read_operations: tuple[str, ...] = ()
    message: str = "{name} cannot be found"


_OBJECT = _ResourceKind(
    "object",
    "s3",
    ("PutObject", "CopyObject", "CompleteMultipartUpload"),
    ("Bucket", "Key"),
    "NoSuchKey",
    404,
    ("GetObject", "HeadObject"),
    "The specified key does not exist.",
)
"""S3: "you might encounter HTTP 404 NoSuchKey errors for requests to objects created or updated after enabling
versioning" for up to 15 minutes (API reference, PutBucketVersioning)."""
_RESOURCE_KINDS = (
    _OBJECT,
    _ResourceKind("role", "iam", ("CreateRole",), ("RoleName",), "NoSuchEntity", 404),
    _ResourceKind("bucket", "s3", ("CreateBucket",), ("Bucket",), "NoSuchBucket", 404),
    _ResourceKind(
        "service",
        "ecs",
        ("CreateExpressGatewayService",),
        ("serviceArn", "serviceName"),
        "ResourceNotFoundException",
        400,
    ),
    _ResourceKind(
        "secret", "secretsmanager", ("CreateSecret",), ("SecretId", "Name"), "ResourceNotFoundException", 400
    ),
)


class EventualConsistency:
    """Tracks which new roles, buckets, objects, secrets and Express services reads do not see yet, in one emulator."""

    def __init__(self, state: EmulatorState) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._hidden_reads_left: dict[tuple[str, str], int] = {}
        self._versioned_buckets: set[str] = set()

    def clear(self) -> None:
        """Make every resource visible."""
        with self._lock:
            self._hidden_reads_left.clear()
            self._versioned_buckets.clear()

    def check_read(self, target: Target, request: Request) -> AwsError | None:
        """Return the not-found error for a read of a resource that is still hidden, or None."""
        is_copy = target.name == "s3:CopyObject"
        if not self._hidden_reads_left or (classify_access(target.operation) == "write" and not is_copy):
            return None
        params = _parse(target, request)
        if is_copy:
            return self._check_copy_source(params)
        for kind in _RESOURCE_KINDS:
            if kind.service != target.service or (
                kind.read_operations and target.operation not in kind.read_operations
            ):
                continue
            name = _resource_name(kind, params)
            if self._use_hidden_read(kind.setting, name):
                return AwsError(kind.error_code, kind.message.format(name=name), kind.error_status)
        return None

    def _check_copy_source(self, params: Params) -> AwsError | None:
        """Return the not-found error for a copy of an object that reads do not see yet, or None."""
        source = unquote(str(params.get("CopySource", ""))).partition("?")[0].lstrip("/")
        if self._use_hidden_read(_OBJECT.setting, source):
            return AwsError(_OBJECT.error_code, _OBJECT.message, _OBJECT.error_status)
        return None

    def record_create(self, target: Target, request: Request, response: Response) -> None:
        """Hide the resource that a successful create call has made from the next reads."""
        faults = self._state.faults
        if response.status >= 300 or not (faults.unseen_reads or faults.role_assumable_after_seconds):
            return
        if target.service == "s3" and target.operation == "PutBucketVersioning":
            self._versioned_buckets.add(str(_parse(target, request).get("Bucket")))
        for kind in _RESOURCE_KINDS:
            if kind.service == target.service and target.operation in kind.create_operations:
                self._hide(kind, _parse(target, request))

    def _hide(self, kind: _ResourceKind, params: Params) -> None:
        hidden_reads = int(self._state.faults.unseen_reads.get(kind.setting, 0))
        if kind is _OBJECT and params.get("Bucket") not in self._versioned_buckets:
            return
        name = _resource_name(kind, params)
        with self._lock:
            if hidden_reads:
                self._hidden_reads_left[kind.setting, name] = hidden_reads
            if kind.setting == "role":
                self._state.role_created_at[name] = time.monotonic()

    def _use_hidden_read(self, setting: str, name: str) -> bool:
        with self._lock:
            reads_left = self._hidden_reads_left.get((setting, name), 0)
            if reads_left > 0:
                self._hidden_reads_left[setting, name] = reads_left - 1
            return reads_left > 0


def _parse(target: Target, request: Request) -> Params:
    try:
        return parse_params(request, target)
    except AwsError:
        return {}


def _resource_name(kind: _ResourceKind, params: Params) -> str:
    """Return the name of the resource that a call targets, taken from the ARN of a secret or an Express service."""
    if kind is _OBJECT:
        return f"{params.get('Bucket')}/{params.get('Key')}"
    name = str(next((params[parameter] for parameter in kind.name_parameters if parameter in params), ""))
    if name.startswith("arn:") and kind.setting == "secret":
        return name.rpartition(":")[2].rpartition("-")[0]
    return name.rpartition("/")[2] if kind.setting == "service" else name
