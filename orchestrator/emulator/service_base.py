"""What an emulated service or correction is: a class with one method an operation, and the world it lives in.

A method takes the call's parameters and its context and returns the operation's output as a dict, or raises AwsError.
State belongs to the instance, which belongs to one emulator: nothing here is global.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Protocol

from orchestrator.emulator.client_protocol import parse_response, serialise_request
from orchestrator.emulator.faults import Faults
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params, Target

_INTERNAL_ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"


class Backend(Protocol):
    """One implementation of AWS behind the gateway.  ``name`` is "moto" or "ministack"."""

    name: str

    def start(self) -> None:
        """Make it ready to answer."""

    def stop(self) -> None:
        """Let go of everything it holds."""

    def reset(self) -> None:
        """Empty it."""

    def forward(self, request: Request, target: Target) -> Response:
        """Answer one AWS request."""
        ...

    def add_managed_policy(self, name: str, policy: dict[str, Any]) -> None:
        """Have one of AWS's managed policies in place, by name and with the data moto publishes of it."""

    def set_current_secret_version(self, region: str, secret_id: str, version_id: str) -> None:
        """Have a secret's value be that of the version that was labelled AWSCURRENT."""

    def handle_registry(self, request: Request) -> Response | None:
        """Answer a registry request, or None where it has no registry."""
        ...


@dataclass(frozen=True, slots=True)
class Workload:
    """A container to be run behind a host, as App Runner or ECS were told to.

    ``command`` stands for all that the image would start, ``arguments`` for its CMD only.  ``health`` is App Runner's
    HealthCheckConfiguration; its ``Grace`` are seconds in which nobody has to listen yet.  ``output`` is the log group
    for what it prints and what its streams' names begin with, ``verdicts`` the log group for what became of it, or "".
    """

    host: str
    region: str
    image: str
    port: str
    health_check: Params
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    output_log: tuple[str, str] | None = None
    event_log_group: str = ""


class StartAttempt(Protocol):
    """An attempt to run a service: ``verdict`` is None while it lasts, then whether it is healthy; else ``reason``."""

    is_healthy: bool | None
    reason: str

    def cancel(self) -> None:
        """Nobody wants it any more; what has taken over already goes on."""


class ContainerRuntime(Protocol):
    """What runs the images of services."""

    def start(self, workload: Workload) -> StartAttempt:
        """Start to run one, beside what may run behind its host already."""
        ...

    def stop(self, host: str) -> None:
        """Stop it."""

    def stop_all(self) -> None:
        """Stop all of them."""

    def forward(self, host: str, request: Request) -> Response:
        """What it answers."""
        ...


@dataclass
class EmulatorState:
    """What the services of one emulator share: the account, the backend, the faults and one lock."""

    account: str
    region: str
    backend: Backend
    default_settle_seconds: float
    faults: Faults = field(default_factory=Faults)
    lock: threading.RLock = field(default_factory=threading.RLock)
    role_created_at: dict[str, float] = field(default_factory=dict)
    write_count: int = 0
    """Grows when a write begins and when it ends: what was read at one number holds as long as it stays."""
    find_service: Callable[[str], Service | None] = lambda _: None
    container_runtime: ContainerRuntime | None = None
    """Runs the services of App Runner and of ECS Express Mode, where the emulator was told to."""
    registry_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """What ECR gives out and its registry asks for."""

    def settle_seconds(self, service: str) -> float:
        """Seconds an asynchronous operation of ``service`` takes."""
        return float(self.faults.settle_seconds.get(service, self.default_settle_seconds))

    def call(self, service: str, operation: str, region: str = "", **params: Any) -> Params:
        """Make one AWS call of the backend itself: not counted, no faults.  Raises AwsError."""
        target = Target(service, region or self.region, operation)
        return parse_response(
            target, self.backend.forward(serialise_request(target, params, _INTERNAL_ACCESS_KEY_ID), target)
        )

    def security_groups_in_use(self, region: str) -> set[str]:
        """The security groups that network interfaces of a region hold, as the services here know."""
        services = [self.find_service(name) for name in ("rds", "apprunner", "ecs")]
        return {group for service in services if service for group in service.security_groups_in_use(region)}

    def tags_by_arn(self, service: str, region: str) -> dict[str, dict[str, str]]:
        """The tags of a service's resources by ARN, where the service lives here."""
        tag_source = self.find_service(service)
        return tag_source.tags_by_arn(region) if tag_source else {}

    def is_role_assumable(self, name: str) -> bool:
        """Whether a role made lately can be assumed by a service by now."""
        created_at = self.role_created_at.get(name)
        return created_at is None or time.monotonic() - created_at >= self.faults.role_assumable_after_seconds


@dataclass(frozen=True)
class CallContext:
    """One call: where it is addressed, its request id, and the way on to the backend."""

    state: EmulatorState
    target: Target
    request: Request
    request_id: str

    @property
    def region(self) -> str:
        """The region the call was signed for."""
        return self.target.region

    @property
    def account(self) -> str:
        """The account of the emulator."""
        return self.state.account

    def forward(self, params: Params) -> Params:
        """The backend's own answer to this operation, with these parameters.  Raises AwsError."""
        return self.state.call(self.target.service, self.target.operation, self.region, **params)

    def forward_raw(self) -> Response:
        """The backend's own answer to the request as it came."""
        return self.state.backend.forward(self.request, self.target)


Handler = Callable[[Params, CallContext], Params | Response]


@lru_cache(maxsize=4096)
def to_method_name(operation: str) -> str:
    """botocore's Python name of an operation: ``DescribeDBInstances`` is ``describe_db_instances``."""
    from botocore import xform_name

    return str(xform_name(operation))


class Service:
    """Base of the emulated services and of the corrections to a backend's.

    ``service`` is botocore's name.  A whole service (``complete``) answers what it has no method for with an error;
    a correction leaves it to the backend.
    """

    service: ClassVar[str]
    is_complete: ClassVar[bool] = False

    def __init__(self, state: EmulatorState) -> None:
        self.state = state

    def tags_by_arn(self, region: str) -> dict[str, dict[str, str]]:
        """The tags of the resources that live here, by ARN."""
        return {}

    def security_groups_in_use(self, region: str) -> set[str]:
        """The security groups its network interfaces hold."""
        return set()

    def handler(self, operation: str) -> Handler | None:
        """The method for an operation, or None."""
        name = to_method_name(operation)
        method = None if name.startswith("_") else getattr(self, name, None)
        return method if callable(method) and not hasattr(Service, name) else None
