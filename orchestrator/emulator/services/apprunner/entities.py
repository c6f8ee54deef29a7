"""What App Runner remembers: services with their operations, scaling configurations, connectors.  No AWS calls.

An asynchronous operation has an end on the monotonic clock and is settled when somebody next looks.
"""

from __future__ import annotations

import time
import uuid
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Trial

_DONE = {"PAUSE_SERVICE": "PAUSED", "DELETE_SERVICE": "DELETED"}


def now() -> datetime:
    """The time as App Runner stamps it."""
    return datetime.now(UTC).replace(microsecond=0)


def identifier() -> str:
    """32 hexadecimal digits, as in App Runner's ARNs."""
    return uuid.uuid4().hex


@dataclass
class Operation:
    """One entry of ListOperations; ``turns_back`` makes a failing deployment start its rollback half way."""

    id: str
    type: str
    target: str
    started: datetime
    begins: float
    ends: float
    fails: bool
    before: Params | None = None
    trial: Trial | None = None
    status: str = "IN_PROGRESS"
    ended: datetime | None = None

    @property
    def rolls_back(self) -> bool:
        """Whether there is a good revision to fall back on."""
        return self.fails and self.before is not None

    def seen(self) -> str:
        """The status at this moment."""
        halfway = (self.begins + self.ends) / 2
        if self.status == "IN_PROGRESS" and self.rolls_back and time.monotonic() >= halfway:
            return "ROLLBACK_IN_PROGRESS"
        return self.status

    def summary(self) -> Params:
        """The OperationSummary shape."""
        return {
            "Id": self.id,
            "Type": self.type,
            "Status": self.seen(),
            "TargetArn": self.target,
            "StartedAt": self.started,
            "EndedAt": self.ended,
            "UpdatedAt": self.ended or self.started,
        }


@dataclass
class Deployed:
    """One App Runner service.  ``settings`` are its configuration members in the shape of the API."""

    name: str
    id: str
    arn: str
    url: str
    region: str
    created: datetime
    settings: Params
    tags: dict[str, str]
    status: str = "OPERATION_IN_PROGRESS"
    good: Params | None = None
    updated: datetime = field(default_factory=now)
    deleted: datetime | None = None
    operations: list[Operation] = field(default_factory=list)

    def begin(self, kind: str, seconds: float, *, fails: bool = False) -> Operation:
        """Start an asynchronous operation that takes so many seconds."""
        start = time.monotonic()
        before = deepcopy(self.good) if kind in ("UPDATE_SERVICE", "START_DEPLOYMENT") else None
        operation = Operation(str(uuid.uuid4()), kind, self.arn, now(), start, start + seconds, fails, before)
        self.operations.insert(0, operation)
        self.status, self.updated = "OPERATION_IN_PROGRESS", now()
        return operation

    def settle(self) -> None:
        """Finish the running operation if its time is over."""
        running = self.operations[0] if self.operations else None
        if running is None or running.status != "IN_PROGRESS" or time.monotonic() < running.ends:
            return
        if running.trial is not None:
            if running.trial.verdict is None:
                return
            running.fails = not running.trial.verdict
        running.ended = self.updated = now()
        if running.fails:
            self._fail(running)
            return
        running.status = "SUCCEEDED"
        self.status = _DONE.get(running.type, "RUNNING")
        if self.status == "DELETED":
            self.deleted = running.ended
        elif running.type in ("CREATE_SERVICE", "UPDATE_SERVICE"):
            self.good = deepcopy(self.settings)

    def _fail(self, running: Operation) -> None:
        """Fall back to the last good revision and say RUNNING; without one be CREATE_FAILED."""
        if running.before is None:
            running.status, self.status = "FAILED", "PAUSED" if running.type == "RESUME_SERVICE" else "CREATE_FAILED"
            return
        running.status, self.status = "ROLLBACK_SUCCEEDED", "RUNNING"
        self.settings = deepcopy(running.before)

    def require(self, *statuses: str) -> None:
        """Raise InvalidStateException unless the service is in one of these statuses."""
        if self.status not in statuses:
            raise AwsError("InvalidStateException", f"Service cannot be acted on in its current state: {self.status}.")


@dataclass
class Revision:
    """One revision of an auto scaling configuration or a VPC connector: ``detail`` holds its own members."""

    kind: str
    name: str
    revision: int
    arn: str
    region: str
    created: datetime
    detail: Params
    tags: dict[str, str]
    status: str = "ACTIVE"
    deleted: datetime | None = None
    is_default: bool = False

    def retire(self) -> None:
        """Delete it: it stays readable as INACTIVE."""
        self.status, self.deleted, self.tags = "INACTIVE", now(), {}


@dataclass
class State:
    """All of one emulator's App Runner, every region."""

    services: dict[str, Deployed] = field(default_factory=dict)
    scalings: dict[str, Revision] = field(default_factory=dict)
    connectors: dict[str, Revision] = field(default_factory=dict)
    observabilities: dict[str, Revision] = field(default_factory=dict)

    def living(self, region: str) -> list[Deployed]:
        """The services of a region that are not deleted, settled, in order of creation."""
        for service in self.services.values():
            service.settle()
        return [each for each in self.services.values() if each.region == region and each.status != "DELETED"]

    def users_of(self, arn: str, region: str) -> list[Deployed]:
        """The living services that use a scaling configuration, connector or observability configuration."""
        return [each for each in self.living(region) if arn in (_scaling(each), _connector(each), _traces(each))]


def _scaling(service: Deployed) -> Any:
    return service.settings.get("AutoScalingConfigurationArn")


def _connector(service: Deployed) -> Any:
    return service.settings["NetworkConfiguration"]["EgressConfiguration"].get("VpcConnectorArn")


def _traces(service: Deployed) -> Any:
    return service.settings.get("ObservabilityConfiguration", {}).get("ObservabilityConfigurationArn")
