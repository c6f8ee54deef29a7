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

from orchestrator.emulator.client_protocol import incoming, outgoing
from orchestrator.emulator.faults import Faults
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params, Target

_INTERNAL_KEY = "AKIAIOSFODNN7EXAMPLE"


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

    def adopt(self, name: str, policy: dict[str, Any]) -> None:
        """Have one of AWS's managed policies in place, by name and with the data moto publishes of it."""

    def settle(self, region: str, secret: str, version: str) -> None:
        """Have a secret's value be that of the version that was labelled AWSCURRENT."""

    def edge(self, request: Request) -> Response | None:
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
    health: Params
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    output: tuple[str, str] | None = None
    verdicts: str = ""


class Trial(Protocol):
    """An attempt to run a service: ``verdict`` is None while it lasts, then whether it is healthy; else ``reason``."""

    verdict: bool | None
    reason: str

    def give_up(self) -> None:
        """Nobody wants it any more; what has taken over already goes on."""


class Runs(Protocol):
    """What runs the images of services."""

    def begin(self, workload: Workload) -> Trial:
        """Start to run one, beside what may run behind its host already."""
        ...

    def stop(self, host: str) -> None:
        """Stop it."""

    def stop_all(self) -> None:
        """Stop all of them."""

    def visit(self, host: str, request: Request) -> Response:
        """What it answers."""
        ...


@dataclass
class World:
    """What the services of one emulator share: the account, the backend, the faults and one lock."""

    account: str
    region: str
    backend: Backend
    settle_default: float
    faults: Faults = field(default_factory=Faults)
    lock: threading.RLock = field(default_factory=threading.RLock)
    role_born: dict[str, float] = field(default_factory=dict)
    writes: int = 0
    """Grows when a write begins and when it ends: what was read at one number holds as long as it stays."""
    find: Callable[[str], Service | None] = lambda _: None
    runs: Runs | None = None
    """Runs the services of App Runner and of ECS Express Mode, where the emulator was told to."""
    registry_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """What ECR gives out and its registry asks for."""

    def settle(self, service: str) -> float:
        """Seconds an asynchronous operation of ``service`` takes."""
        return float(self.faults.settle_seconds.get(service, self.settle_default))

    def call(self, service: str, operation: str, region: str = "", **params: Any) -> Params:
        """Make one AWS call of the backend itself: not counted, no faults.  Raises AwsError."""
        target = Target(service, region or self.region, operation)
        return incoming(target, self.backend.forward(outgoing(target, params, _INTERNAL_KEY), target))

    def groups_in_use(self, region: str) -> set[str]:
        """The security groups that network interfaces of a region hold, as the services here know."""
        services = [self.find(name) for name in ("rds", "apprunner", "ecs")]
        return {group for service in services if service for group in service.groups_in_use(region)}

    def tagged(self, service: str, region: str) -> dict[str, dict[str, str]]:
        """The tags of a service's resources by ARN, where the service lives here."""
        found = self.find(service)
        return found.tagged(region) if found else {}

    def role_is_assumable(self, name: str) -> bool:
        """Whether a role made lately can be assumed by a service by now."""
        born = self.role_born.get(name)
        return born is None or time.monotonic() - born >= self.faults.role_assumable_after_seconds


@dataclass(frozen=True)
class Context:
    """One call: where it is addressed, its request id, and the way on to the backend."""

    world: World
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
        return self.world.account

    def forward(self, params: Params) -> Params:
        """The backend's own answer to this operation, with these parameters.  Raises AwsError."""
        return self.world.call(self.target.service, self.target.operation, self.region, **params)

    def forward_raw(self) -> Response:
        """The backend's own answer to the request as it came."""
        return self.world.backend.forward(self.request, self.target)


Handler = Callable[[Params, Context], Params | Response]


@lru_cache(maxsize=4096)
def method_name(operation: str) -> str:
    """botocore's Python name of an operation: ``DescribeDBInstances`` is ``describe_db_instances``."""
    from botocore import xform_name

    return str(xform_name(operation))


class Service:
    """Base of the emulated services and of the corrections to a backend's.

    ``service`` is botocore's name.  A whole service (``complete``) answers what it has no method for with an error;
    a correction leaves it to the backend.
    """

    service: ClassVar[str]
    complete: ClassVar[bool] = False

    def __init__(self, world: World) -> None:
        self.world = world

    def tagged(self, region: str) -> dict[str, dict[str, str]]:
        """The tags of the resources that live here, by ARN."""
        return {}

    def groups_in_use(self, region: str) -> set[str]:
        """The security groups its network interfaces hold."""
        return set()

    def handler(self, operation: str) -> Handler | None:
        """The method for an operation, or None."""
        name = method_name(operation)
        found = None if name.startswith("_") else getattr(self, name, None)
        return found if callable(found) and not hasattr(Service, name) else None
