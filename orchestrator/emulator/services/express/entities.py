"""Hold the state of Express services: revisions and deployments, and how they advance. No AWS calls.

Every status lasts a fraction of the deployment time; the next read after it applies the change.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import StartAttempt

FINAL_STATUSES = ("SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")
CIRCUIT_BREAKER_REASON = "Service deployment rolled back because the circuit breaker threshold was exceeded."
NO_ROLLBACK_CANDIDATE_REASON = "No rollback candidate was found to run the rollback."
_REQUEST_FRACTION, _FAILURE_FRACTION = 0.05, 0.5
"""Fractions of the deployment time: until a request takes effect, and until a failure shows."""


SettleSeconds = Callable[[], float]
"""Returns how many seconds a deployment takes under the current settings."""


def current_time() -> datetime:
    """Return the current time with ECS's precision."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class LoadBalancer:
    """A load balancer shared by the services of a VPC. ``access`` is PUBLIC or PRIVATE."""

    arn: str
    access: str
    vpc: str
    subnets: tuple[str, ...]
    security_group: str


@dataclass(eq=False)
class Revision:
    """One configuration of a service; ``settings`` have the shape of ExpressGatewayServiceConfiguration."""

    arn: str
    settings: Params
    task_definition: str
    created_at: datetime = field(default_factory=current_time)


@dataclass(eq=False)
class Deployment:
    """One service deployment. It rolls back to ``source``; ``expected_failure`` is why it is bound to fail.

    ``status_reason`` is returned with the status; ``failure_reason`` is what was wrong with the tasks. ``is_stuck``: it
    never ends, because something that ECS manages for it cannot be created.
    """

    arn: str
    target: Revision
    source: Revision | None
    settle_seconds: SettleSeconds
    expected_failure: str = ""
    start_attempt: StartAttempt | None = None
    rollback_attempt: StartAttempt | None = None
    status: str = "PENDING"
    status_since: float = field(default_factory=time.monotonic)
    status_reason: str = ""
    failure_reason: str = ""
    created_at: datetime = field(default_factory=current_time)
    updated_at: datetime = field(default_factory=current_time)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    rolled_back_at: datetime | None = None
    is_stuck: bool = False

    @property
    def is_over(self) -> bool:
        """Return whether the status is final."""
        return self.status in FINAL_STATUSES

    @property
    def elapsed_fraction(self) -> float:
        """Return how much of the deployment time has passed in this status, 0..1."""
        seconds = self.settle_seconds()
        return min(1.0, (time.monotonic() - self.status_since) / seconds) if seconds else 1.0

    def set_status(self, status: str, elapsed_fraction: float | None = None) -> None:
        """Change the status now, or as of when a fraction of the deployment time had passed."""
        self.status_since = (
            time.monotonic()
            if elapsed_fraction is None
            else self.status_since + elapsed_fraction * self.settle_seconds()
        )
        self.status, self.updated_at = status, current_time()
        if status in FINAL_STATUSES:
            self.finished_at = self.updated_at

    def has_elapsed(self, fraction: float) -> bool:
        """Return whether this status has lasted a fraction of the deployment time."""
        return time.monotonic() >= self.status_since + fraction * self.settle_seconds()

    def advance(self) -> bool:
        """Advance one step if it is due; return whether it was. The service advances rollbacks."""
        if self.status == "PENDING" and self.has_elapsed(_REQUEST_FRACTION):
            self.set_status("IN_PROGRESS", _REQUEST_FRACTION)
            self.started_at = self.updated_at
        elif self.status == "IN_PROGRESS":
            return self._advance_in_progress()
        elif self.status == "STOP_REQUESTED" and self.has_elapsed(_REQUEST_FRACTION):
            self.set_status("STOPPED", _REQUEST_FRACTION)
        elif self.status == "ROLLBACK_REQUESTED" and self.has_elapsed(_REQUEST_FRACTION):
            self.set_status("ROLLBACK_IN_PROGRESS", _REQUEST_FRACTION)
            self.rolled_back_at = self.updated_at
        else:
            return False
        return True

    def _advance_in_progress(self) -> bool:
        if self.is_stuck:
            return False
        if self.expected_failure:
            return self.has_elapsed(_FAILURE_FRACTION) and self._start_rollback(
                self.expected_failure, _FAILURE_FRACTION
            )
        if self.start_attempt is not None and self.start_attempt.is_healthy is None:
            return False
        if self.start_attempt is not None and not self.start_attempt.is_healthy:
            return self._start_rollback(self.start_attempt.reason, None)
        if not self.has_elapsed(1 - _REQUEST_FRACTION):
            return False
        self.set_status("SUCCESSFUL", 1 - _REQUEST_FRACTION)
        return True

    def _start_rollback(self, failure_reason: str, elapsed_fraction: float | None) -> bool:
        self.status_reason, self.failure_reason = CIRCUIT_BREAKER_REASON, failure_reason
        self.set_status("ROLLBACK_IN_PROGRESS", elapsed_fraction)
        self.rolled_back_at = self.updated_at
        return True


@dataclass(eq=False)
class GatewayService:
    """One Express service. ``start_workload`` starts a revision if the emulator runs services.

    ``security_group`` is the service's own.
    """

    name: str
    cluster: str
    arn: str
    host: str
    region: str
    infrastructure_role: str
    tags: dict[str, str]
    load_balancer: LoadBalancer
    security_group: str
    settle_seconds: SettleSeconds
    start_workload: Callable[[Revision], StartAttempt] | None = None
    status: str = "ACTIVE"
    last_healthy: Revision | None = None
    created_at: datetime = field(default_factory=current_time)
    updated_at: datetime = field(default_factory=current_time)
    draining_since: float = 0.0
    revisions: list[Revision] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)

    def add_revision(self, settings: Params, task_definition: str) -> Revision:
        """Add a revision."""
        number = 4_000_000_000_000_000_000 + secrets.randbelow(10**15) + len(self.revisions) * 10**15
        revision = Revision(f"{self._arn('service-revision')}/{number}", settings, task_definition)
        self.revisions.append(revision)
        return revision

    def start_deployment(self, target: Revision, expected_failure: str) -> Deployment:
        """Start to deploy a revision; stop the deployment in progress."""
        previous = self.current_deployment
        if previous is not None:
            self._cancel_attempts(previous)
            previous.status_reason = "A newer service deployment was started."
            previous.set_status("STOP_REQUESTED")
        arn = f"{self._arn('service-deployment')}/{secrets.token_urlsafe(16)[:21]}"
        deployment = Deployment(arn, target, self.last_healthy, self.settle_seconds, expected_failure)
        self.deployments.insert(0, deployment)
        self.updated_at = deployment.created_at
        if self.start_workload is not None and not expected_failure:
            deployment.start_attempt = self.start_workload(target)
        return deployment

    def request_rollback(self, deployment: Deployment) -> None:
        """Roll back a deployment at the user's request."""
        self._cancel_attempts(deployment)
        deployment.status_reason = deployment.failure_reason = (
            "Service deployment rolled back because of a user request."
        )
        deployment.set_status("ROLLBACK_REQUESTED")

    def start_draining(self) -> None:
        """Start the deletion."""
        for deployment in self.deployments:
            self._cancel_attempts(deployment)
        self.status, self.updated_at, self.draining_since = "DRAINING", current_time(), time.monotonic()

    def refresh(self) -> None:
        """Apply every status change that is due."""
        if self.status == "ACTIVE":
            for deployment in reversed(self.deployments):
                while deployment.advance() or self._advance_rollback(deployment):
                    pass
                if deployment.status == "SUCCESSFUL" and deployment is self.deployments[0]:
                    self.last_healthy = deployment.target
        elif self.status == "DRAINING" and time.monotonic() >= self.draining_since + self.settle_seconds():
            self.status, self.updated_at = "INACTIVE", current_time()

    @property
    def current_deployment(self) -> Deployment | None:
        """Return the deployment in progress, or None."""
        newest = self.deployments[0] if self.deployments else None
        return newest if newest is not None and not newest.is_over and self.status == "ACTIVE" else None

    @property
    def active_revisions(self) -> list[Revision]:
        """Return the revisions that have tasks, older first: two while a deployment is in progress."""
        if self.status == "INACTIVE" or not self.deployments:
            return []
        newest = self.deployments[0]
        if self.current_deployment is None:
            return [self.last_healthy or newest.target]
        return [revision for revision in (newest.source, newest.target) if revision is not None]

    def _advance_rollback(self, deployment: Deployment) -> bool:
        """Advance a rollback: restart the source unless it still runs, and finish once it is healthy."""
        start_attempt, rollback_attempt = deployment.start_attempt, deployment.rollback_attempt
        if deployment.status != "ROLLBACK_IN_PROGRESS" or (
            start_attempt is not None and start_attempt.is_healthy is None
        ):
            return False
        if deployment.source is None:
            deployment.status_reason = NO_ROLLBACK_CANDIDATE_REASON
            deployment.set_status("ROLLBACK_FAILED", 0)
            return True
        if (
            self.start_workload is not None
            and rollback_attempt is None
            and self._running_revision() is not deployment.source
        ):
            deployment.rollback_attempt = self.start_workload(deployment.source)
            return False
        if not deployment.has_elapsed(_FAILURE_FRACTION) or (
            rollback_attempt is not None and rollback_attempt.is_healthy is None
        ):
            return False
        has_failed = rollback_attempt is not None and not rollback_attempt.is_healthy
        deployment.set_status("ROLLBACK_FAILED" if has_failed else "ROLLBACK_SUCCESSFUL", _FAILURE_FRACTION)
        return True

    def _running_revision(self) -> Revision | None:
        """Return the revision whose process serves traffic: the last one that became healthy."""
        for deployment in self.deployments:
            if deployment.rollback_attempt is not None and deployment.rollback_attempt.is_healthy:
                return deployment.source
            if deployment.start_attempt is not None and deployment.start_attempt.is_healthy:
                return deployment.target
        return None

    def _cancel_attempts(self, deployment: Deployment) -> None:
        for attempt in (deployment.start_attempt, deployment.rollback_attempt):
            if attempt is not None and attempt.is_healthy is None:
                attempt.cancel()

    def _arn(self, kind: str) -> str:
        return self.arn.replace(":service/", f":{kind}/", 1)


def generate_host(name: str, region: str) -> str:
    """Return the host of a service: the first two letters of its name and a random ID."""
    return f"{name[:2].lower().strip('-_') or 'ex'}-{uuid.uuid4().hex}.ecs.{region}.on.aws"
