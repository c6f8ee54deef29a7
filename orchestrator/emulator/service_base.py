"""Define the base class of emulated services and overrides, and the state that they share.

A service has one method per operation. The method takes the call's parameters and its context and returns the
operation's output as a dict, or raises AwsError. State belongs to the instance, which belongs to one emulator:
nothing here is global.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar, Protocol

from orchestrator.emulator.authorization.sessions import SessionTable
from orchestrator.emulator.client_protocol import parse_response, serialise_request
from orchestrator.emulator.faults import Faults
from orchestrator.emulator.http_messages import Request, Response
from orchestrator.emulator.server_protocol import Params, Target

_INTERNAL_ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"


class Backend(Protocol):
    """One implementation of AWS behind the gateway. ``name`` is "moto" or "ministack"."""

    name: str

    def start(self) -> None:
        """Get ready to answer requests."""

    def stop(self) -> None:
        """Release every resource it holds."""

    def reset(self) -> None:
        """Delete every AWS resource."""

    def forward(self, request: Request, target: Target) -> Response:
        """Answer one AWS request."""
        ...

    def add_managed_policy(self, name: str, policy: dict[str, Any]) -> None:
        """Add one of AWS's managed policies, by name, with the data that moto publishes for it."""

    def set_current_secret_version(self, region: str, secret_id: str, version_id: str) -> None:
        """Set a secret's value to that of the version labelled AWSCURRENT."""

    def handle_registry(self, request: Request) -> Response | None:
        """Answer a registry request; return None if the backend has no registry."""
        ...


@dataclass(frozen=True, slots=True)
class Workload:
    """A container to run behind a host, for App Runner or ECS.

    ``command`` replaces the image's whole command line, ``arguments`` only its CMD. ``health_check`` is App Runner's
    HealthCheckConfiguration plus ``Grace``, the seconds the container has to start listening. ``output_log`` is the
    log group and stream prefix for the container's output; ``event_log_group`` gets the result of the start, if not "".
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
    """An attempt to start a service: ``is_healthy`` is None until it ends; ``reason`` says why it failed."""

    is_healthy: bool | None
    reason: str

    def cancel(self) -> None:
        """Give up the attempt; a container that already serves traffic keeps running."""


class TaskRun(Protocol):
    """A container that runs once: ``exit_code`` is None until it ends, ``failure`` says why it never began."""

    is_started: bool
    failure: str
    exit_code: int | None

    def stop(self) -> None:
        """Stop the container."""


class ContainerRuntime(Protocol):
    """Runs the images of services and tasks."""

    def run_task(self, workload: Workload) -> TaskRun:
        """Start a workload that runs once."""
        ...

    def start(self, workload: Workload) -> StartAttempt:
        """Start a workload, beside the container that may already run behind its host."""
        ...

    def stop(self, host: str) -> None:
        """Stop the container behind a host."""

    def stop_all(self) -> None:
        """Stop every container."""

    def forward(self, host: str, request: Request) -> Response:
        """Return the container's response to a request."""
        ...


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """What a database server is started with. ``parameters`` are PostgreSQL's, as its parameter group sets them."""

    major_version: str
    port: int
    master_user: str
    master_password: str
    database: str
    host_suffix: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    requires_tls: bool = True


class DatabaseEngine(Protocol):
    """Runs the servers behind DB instances, which it knows by their DbiResourceId.

    A future ends with the work, and holds the exception if that failed.
    """

    @property
    def ca_bundle(self) -> str:
        """Return the certificate of the authority behind the servers' certificates, in PEM."""
        ...

    def address(self, name: str) -> str:
        """Return the IP address at which the instance of a name listens."""
        ...

    def create(self, resource_id: str, name: str, settings: DatabaseSettings) -> Future[None]:
        """Start an empty server."""
        ...

    def restore_snapshot(self, resource_id: str, name: str, settings: DatabaseSettings, snapshot: str) -> Future[None]:
        """Start a server with the data of a snapshot."""
        ...

    def restore_time(
        self, resource_id: str, name: str, settings: DatabaseSettings, source_id: str, target: datetime | None
    ) -> Future[None]:
        """Start a server with the data that a source had at a time, or has now."""
        ...

    def take_snapshot(self, resource_id: str, snapshot: str) -> Future[None]:
        """Copy the data of an instance."""
        ...

    def delete_snapshot(self, snapshot: str) -> None:
        """Delete such a copy."""

    def earliest_restorable_time(self, resource_id: str) -> datetime | None:
        """Return the first moment that an instance can be restored to."""
        ...

    def stop_instance(self, resource_id: str) -> Future[None]:
        """Stop a server."""
        ...

    def start_instance(self, resource_id: str, settings: DatabaseSettings) -> Future[None]:
        """Start or restart a server."""
        ...

    def reconfigure(self, resource_id: str, settings: DatabaseSettings) -> Future[None]:
        """Apply settings that need no restart."""
        ...

    def pending_restart(self, resource_id: str) -> bool:
        """Return whether a changed parameter waits for a restart."""
        ...

    def set_password(self, resource_id: str, password: str) -> Future[None]:
        """Change the master password."""
        ...

    def rename(self, resource_id: str, name: str) -> Future[None]:
        """Move a server to the address of another name."""
        ...

    def delete(self, resource_id: str, *, keep_backup: bool) -> Future[None]:
        """Delete a server."""
        ...

    def stop_all(self, *, is_final: bool = True) -> None:
        """Stop every server and delete all data."""


@dataclass
class EmulatorState:
    """The state that the services of one emulator share: account, backend, faults and one lock."""

    account: str
    region: str
    backend: Backend
    default_settle_seconds: float
    faults: Faults = field(default_factory=Faults)
    lock: threading.RLock = field(default_factory=threading.RLock)
    role_created_at: dict[str, float] = field(default_factory=dict)
    linked_role_created_at: dict[str, float] = field(default_factory=dict)
    """The service-linked roles that were created here, by service principal."""
    sessions: SessionTable = field(default_factory=SessionTable)
    write_count: int = 0
    """Grows when a write to a resource begins and when it ends: cached tags are valid while it is unchanged."""
    find_service: Callable[[str], Service | None] = lambda _: None
    container_runtime: ContainerRuntime | None = None
    """Runs the services of App Runner and ECS Express Mode, if the emulator was started with ``run_services``."""
    database_engine: DatabaseEngine | None = None
    """Runs the databases of RDS, if the emulator was started with ``run_services`` where PostgreSQL is installed."""
    registry_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    """The registry password that ECR hands out."""

    def settle_seconds(self, service: str) -> float:
        """Return how many seconds an asynchronous operation of ``service`` takes."""
        return float(self.faults.settle_seconds.get(service, self.default_settle_seconds))

    def call(self, service: str, operation: str, region: str = "", **params: Any) -> Params:
        """Call the backend directly: the call is not recorded and gets no faults. Raises AwsError."""
        target = Target(service, region or self.region, operation)
        return parse_response(
            target, self.backend.forward(serialise_request(target, params, _INTERNAL_ACCESS_KEY_ID), target)
        )

    def security_groups_in_use(self, region: str) -> set[str]:
        """Return the security groups in use by network interfaces of a region, as the services here know."""
        services = [self.find_service(name) for name in ("rds", "apprunner", "ecs")]
        return {group for service in services if service for group in service.security_groups_in_use(region)}

    def tags_by_arn(self, service: str, region: str) -> dict[str, dict[str, str]]:
        """Return the tags of a service's resources by ARN, or {} if the service is the backend's."""
        tag_source = self.find_service(service)
        return tag_source.tags_by_arn(region) if tag_source else {}

    def has_linked_role(self, principal: str) -> bool:
        """Return whether the account has the service-linked role of a service: an account that uses it has."""
        is_unused = principal == "rds.amazonaws.com" and "rds-unused" in self.faults.account_limits
        return not is_unused or principal in self.linked_role_created_at

    def is_linked_role_usable(self, principal: str) -> bool:
        """Return whether a service can already use its service-linked role, which takes a while after its creation."""
        created_at = self.linked_role_created_at.get(principal, 0.0)
        age = time.monotonic() - created_at
        return self.has_linked_role(principal) and age >= self.faults.role_assumable_after_seconds

    def is_role_assumable(self, name: str) -> bool:
        """Return whether services can already assume a role, which takes a while after its creation."""
        created_at = self.role_created_at.get(name)
        return created_at is None or time.monotonic() - created_at >= self.faults.role_assumable_after_seconds


@dataclass(frozen=True)
class CallContext:
    """One call: its target, its request ID, and the way to forward it to the backend."""

    state: EmulatorState
    target: Target
    request: Request
    request_id: str

    @property
    def region(self) -> str:
        """Return the region the call was signed for."""
        return self.target.region

    @property
    def account(self) -> str:
        """Return the emulator's account ID."""
        return self.state.account

    def forward(self, params: Params) -> Params:
        """Return the backend's own output for this operation, with these parameters. Raises AwsError."""
        return self.state.call(self.target.service, self.target.operation, self.region, **params)

    def forward_raw(self) -> Response:
        """Return the backend's own response to the unchanged request."""
        return self.state.backend.forward(self.request, self.target)


Handler = Callable[[Params, CallContext], Params | Response]


@lru_cache(maxsize=4096)
def to_method_name(operation: str) -> str:
    """Return botocore's Python name of an operation: ``describe_db_instances`` for ``DescribeDBInstances``."""
    from botocore import xform_name

    return str(xform_name(operation))


class Service:
    """Base class of emulated services and of overrides of a backend's service.

    ``service`` is botocore's name. A service that ``is_complete`` returns an error for an operation without a method;
    an override forwards that operation to the backend.
    """

    service: ClassVar[str]
    is_complete: ClassVar[bool] = False

    def __init__(self, state: EmulatorState) -> None:
        self.state = state

    def tags_by_arn(self, region: str) -> dict[str, dict[str, str]]:
        """Return the tags of the resources that this service stores itself, by ARN."""
        return {}

    def security_groups_in_use(self, region: str) -> set[str]:
        """Return the security groups that the service's network interfaces use."""
        return set()

    def handler(self, operation: str) -> Handler | None:
        """Return the method for an operation, or None."""
        name = to_method_name(operation)
        method = None if name.startswith("_") else getattr(self, name, None)
        return method if callable(method) and not hasattr(Service, name) else None
