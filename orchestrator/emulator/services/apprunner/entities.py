"""Hold App Runner's state: services with their operations, scaling configurations, connectors. No AWS calls.

An asynchronous operation has an end on the monotonic clock; the next read after it applies the result.
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
from orchestrator.emulator.service_base import StartAttempt

_FINAL_STATUSES = {"PAUSE_SERVICE": "PAUSED", "DELETE_SERVICE": "DELETED"}


def current_time() -> datetime:
    """Return the current time with App Runner's precision, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def generate_id() -> str:
    """Return 32 hexadecimal digits, as in App Runner's ARNs."""
    return uuid.uuid4().hex


@dataclass
class Operation:
    """One entry of ListOperations. With ``rollback_settings``, a failing deployment rolls back half way."""

    id: str
    operation_type: str
    target_arn: str
    started_at: datetime
    start_time: float
    end_time: float
    will_fail: bool
    rollback_settings: Params | None = None
    start_attempt: StartAttempt | None = None
    status: str = "IN_PROGRESS"
    ended_at: datetime | None = None

    @property
    def will_roll_back(self) -> bool:
        """Return whether the operation fails and has settings to roll back to."""
        return self.will_fail and self.rollback_settings is not None

    def visible_status(self) -> str:
        """Return the current status."""
        halfway = (self.start_time + self.end_time) / 2
        if self.status == "IN_PROGRESS" and self.will_roll_back and time.monotonic() >= halfway:
            return "ROLLBACK_IN_PROGRESS"
        return self.status

    def summary_shape(self) -> Params:
        """Return the OperationSummary shape."""
        return {
            "Id": self.id,
            "Type": self.operation_type,
            "Status": self.visible_status(),
            "TargetArn": self.target_arn,
            "StartedAt": self.started_at,
            "EndedAt": self.ended_at,
            "UpdatedAt": self.ended_at or self.started_at,
        }


@dataclass
class AppRunnerService:
    """One App Runner service. ``settings`` are its configuration members in the shape of the API."""

    name: str
    id: str
    arn: str
    url: str
    region: str
    created_at: datetime
    settings: Params
    tags: dict[str, str]
    status: str = "OPERATION_IN_PROGRESS"
    last_healthy_settings: Params | None = None
    updated_at: datetime = field(default_factory=current_time)
    deleted_at: datetime | None = None
    operations: list[Operation] = field(default_factory=list)

    def start_operation(self, operation_type: str, seconds: float, *, will_fail: bool = False) -> Operation:
        """Start an asynchronous operation that takes ``seconds``."""
        start_time = time.monotonic()
        rollback_settings = (
            deepcopy(self.last_healthy_settings) if operation_type in ("UPDATE_SERVICE", "START_DEPLOYMENT") else None
        )
        operation = Operation(
            str(uuid.uuid4()),
            operation_type,
            self.arn,
            current_time(),
            start_time,
            start_time + seconds,
            will_fail,
            rollback_settings,
        )
        self.operations.insert(0, operation)
        self.status, self.updated_at = "OPERATION_IN_PROGRESS", current_time()
        return operation

    def refresh(self) -> None:
        """Finish the running operation if its time is over."""
        operation = self.operations[0] if self.operations else None
        if operation is None or operation.status != "IN_PROGRESS" or time.monotonic() < operation.end_time:
            return
        if operation.start_attempt is not None:
            if operation.start_attempt.is_healthy is None:
                return
            operation.will_fail = not operation.start_attempt.is_healthy
        operation.ended_at = self.updated_at = current_time()
        if operation.will_fail:
            self._fail_operation(operation)
            return
        operation.status = "SUCCEEDED"
        self.status = _FINAL_STATUSES.get(operation.operation_type, "RUNNING")
        if self.status == "DELETED":
            self.deleted_at = operation.ended_at
        elif operation.operation_type in ("CREATE_SERVICE", "UPDATE_SERVICE"):
            self.last_healthy_settings = deepcopy(self.settings)

    def _fail_operation(self, operation: Operation) -> None:
        """Roll back to the last healthy settings and RUNNING; without them, set CREATE_FAILED or PAUSED."""
        if operation.rollback_settings is None:
            operation.status, self.status = (
                "FAILED",
                "PAUSED" if operation.operation_type == "RESUME_SERVICE" else "CREATE_FAILED",
            )
            return
        operation.status, self.status = "ROLLBACK_SUCCEEDED", "RUNNING"
        self.settings = deepcopy(operation.rollback_settings)

    def require_status(self, *statuses: str) -> None:
        """Raise AwsError InvalidStateException unless the service has one of these statuses."""
        if self.status not in statuses:
            raise AwsError("InvalidStateException", f"Service cannot be acted on in its current state: {self.status}.")


@dataclass
class Revision:
    """One revision of a scaling configuration or VPC connector; ``details`` holds its own members."""

    kind: str
    name: str
    revision: int
    arn: str
    region: str
    created_at: datetime
    details: Params
    tags: dict[str, str]
    status: str = "ACTIVE"
    deleted_at: datetime | None = None
    is_default: bool = False

    def deactivate(self) -> None:
        """Delete the revision; it stays readable as INACTIVE."""
        self.status, self.deleted_at, self.tags = "INACTIVE", current_time(), {}


@dataclass
class AppRunnerStore:
    """All App Runner state of one emulator, in every region."""

    services: dict[str, AppRunnerService] = field(default_factory=dict)
    auto_scaling_configurations: dict[str, Revision] = field(default_factory=dict)
    vpc_connectors: dict[str, Revision] = field(default_factory=dict)
    observability_configurations: dict[str, Revision] = field(default_factory=dict)

    def list_active_services(self, region: str) -> list[AppRunnerService]:
        """Return the services of a region that are not deleted, refreshed, in order of creation."""
        for service in self.services.values():
            service.refresh()
        return [
            app_service
            for app_service in self.services.values()
            if app_service.region == region and app_service.status != "DELETED"
        ]

    def list_services_using(self, arn: str, region: str) -> list[AppRunnerService]:
        """Return the active services that use a scaling configuration, connector or observability configuration."""
        return [
            app_service
            for app_service in self.list_active_services(region)
            if arn in (_auto_scaling_arn(app_service), _vpc_connector_arn(app_service), _observability_arn(app_service))
        ]


def _auto_scaling_arn(service: AppRunnerService) -> Any:
    return service.settings.get("AutoScalingConfigurationArn")


def _vpc_connector_arn(service: AppRunnerService) -> Any:
    return service.settings["NetworkConfiguration"]["EgressConfiguration"].get("VpcConnectorArn")


def _observability_arn(service: AppRunnerService) -> Any:
    return service.settings.get("ObservabilityConfiguration", {}).get("ObservabilityConfigurationArn")
