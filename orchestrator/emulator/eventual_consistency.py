"""Eventual consistency: things just made that reads do not see yet.  Acts only when the faults ask for it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from orchestrator.emulator.call_log import access_of
from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Target, parse
from orchestrator.emulator.service_base import World


@dataclass(frozen=True)
class _Kind:
    setting: str
    create: str
    named: tuple[str, ...]
    code: str
    status: int


_KINDS = {
    "iam": _Kind("role", "CreateRole", ("RoleName",), "NoSuchEntity", 404),
    "s3": _Kind("bucket", "CreateBucket", ("Bucket",), "NoSuchBucket", 404),
    "ecs": _Kind(
        "service",
        "CreateExpressGatewayService",
        ("serviceArn", "serviceName"),
        "ResourceNotFoundException",
        400,
    ),
    "secretsmanager": _Kind("secret", "CreateSecret", ("SecretId", "Name"), "ResourceNotFoundException", 400),
}


class Visibility:
    """Which of the newly made roles, buckets, secrets and Express services reads still miss, in one emulator."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._lock = threading.Lock()
        self._unseen: dict[tuple[str, str], int] = {}

    def forget(self) -> None:
        """Everything is seen again."""
        with self._lock:
            self._unseen.clear()

    def before(self, target: Target, request: Request) -> AwsError | None:
        """The not-found error a read of something too new gets."""
        kind = _KINDS.get(target.service)
        if kind is None or not self._unseen or access_of(target.operation) == "write":
            return None
        name = _name(kind, target, request)
        with self._lock:
            left = self._unseen.get((kind.setting, name), 0)
            if left <= 0:
                return None
            self._unseen[kind.setting, name] = left - 1
        return AwsError(kind.code, f"{name} cannot be found", kind.status)

    def after(self, target: Target, request: Request, response: Response) -> None:
        """Note what a successful create made."""
        kind = _KINDS.get(target.service)
        faults = self._world.faults
        if kind is None or target.operation != kind.create or response.status >= 300:
            return
        reads = int(faults.unseen_reads.get(kind.setting, 0))
        if not reads and not faults.role_assumable_after_seconds:
            return
        name = _name(kind, target, request)
        with self._lock:
            if reads:
                self._unseen[kind.setting, name] = reads
            if kind.setting == "role":
                self._world.role_born[name] = time.monotonic()


def _name(kind: _Kind, target: Target, request: Request) -> str:
    """The name a call gives its thing; of the ARN of a secret or a service the name in it."""
    try:
        params = parse(request, target)
    except AwsError:
        return ""
    name = str(next((params[key] for key in kind.named if key in params), ""))
    if name.startswith("arn:") and kind.setting == "secret":
        return name.rpartition(":")[2].rpartition("-")[0]
    return name.rpartition("/")[2] if kind.setting == "service" else name
