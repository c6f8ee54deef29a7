"""What ECS remembers of Express services: revisions and deployments, and how these go on.  No AWS calls.

Every status lasts a share of the time that a deployment takes, and is settled when somebody next looks.
"""

from __future__ import annotations

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Trial

FINISHED = ("SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")
TURNED_BACK = "Service deployment rolled back because the circuit breaker threshold was exceeded."
NO_CANDIDATE = "No rollback candidate was found to run the rollback."
_ASIDE, _HALF = 0.05, 0.5
"""Shares of a deployment's time: being asked for something, being under way until something is wrong."""


Pace = Callable[[], float]
"""How many seconds a deployment takes, as things are now."""


def now() -> datetime:
    """The time as ECS stamps it."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Balancer:
    """A load balancer, which the services of a VPC share; ``access`` is PUBLIC or PRIVATE, ``group`` its own."""

    arn: str
    access: str
    vpc: str
    subnets: tuple[str, ...]
    group: str


@dataclass(eq=False)
class Revision:
    """One configuration a service has had.  ``settings`` are in the shape of ExpressGatewayServiceConfiguration."""

    arn: str
    settings: Params
    task_definition: str
    created: datetime = field(default_factory=now)


@dataclass(eq=False)
class Deployment:
    """One service deployment.  ``source`` is what it falls back to; ``fails`` is why it will, known beforehand.

    ``reason`` is told with the status, ``why`` is what was wrong with the tasks.
    """

    arn: str
    target: Revision
    source: Revision | None
    pace: Pace
    fails: str = ""
    trial: Trial | None = None
    recovery: Trial | None = None
    status: str = "PENDING"
    since: float = field(default_factory=time.monotonic)
    reason: str = ""
    why: str = ""
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    started: datetime | None = None
    finished: datetime | None = None
    rolled_back: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in FINISHED

    @property
    def share(self) -> float:
        """How much of its time has passed in this status, 0..1."""
        seconds = self.pace()
        return min(1.0, (time.monotonic() - self.since) / seconds) if seconds else 1.0

    def enter(self, status: str, after: float | None = None) -> None:
        """Change the status: now, or when a share of the time was over."""
        self.since = time.monotonic() if after is None else self.since + after * self.pace()
        self.status, self.updated = status, now()
        if status in FINISHED:
            self.finished = self.updated

    def has_waited(self, share: float) -> bool:
        """Whether this status has lasted a share of the time."""
        return time.monotonic() >= self.since + share * self.pace()

    def advance(self) -> bool:
        """One step further, if it is time; a rollback that begins or ends is the service's affair."""
        if self.status == "PENDING" and self.has_waited(_ASIDE):
            self.enter("IN_PROGRESS", _ASIDE)
            self.started = self.updated
        elif self.status == "IN_PROGRESS":
            return self._progress()
        elif self.status == "STOP_REQUESTED" and self.has_waited(_ASIDE):
            self.enter("STOPPED", _ASIDE)
        elif self.status == "ROLLBACK_REQUESTED" and self.has_waited(_ASIDE):
            self.enter("ROLLBACK_IN_PROGRESS", _ASIDE)
            self.rolled_back = self.updated
        else:
            return False
        return True

    def _progress(self) -> bool:
        if self.fails:
            return self.has_waited(_HALF) and self._turn_back(self.fails, _HALF)
        if self.trial is not None and self.trial.verdict is None:
            return False
        if self.trial is not None and not self.trial.verdict:
            return self._turn_back(self.trial.reason, None)
        if not self.has_waited(1 - _ASIDE):
            return False
        self.enter("SUCCESSFUL", 1 - _ASIDE)
        return True

    def _turn_back(self, why: str, after: float | None) -> bool:
        self.reason, self.why = TURNED_BACK, why
        self.enter("ROLLBACK_IN_PROGRESS", after)
        self.rolled_back = self.updated
        return True


@dataclass(eq=False)
class Gateway:
    """One Express service.  ``run`` starts a revision where services are run; ``group`` is its own security group."""

    name: str
    cluster: str
    arn: str
    host: str
    region: str
    infrastructure_role: str
    tags: dict[str, str]
    balancer: Balancer
    group: str
    pace: Pace
    run: Callable[[Revision], Trial] | None = None
    status: str = "ACTIVE"
    good: Revision | None = None
    created: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    draining_since: float = 0.0
    revisions: list[Revision] = field(default_factory=list)
    deployments: list[Deployment] = field(default_factory=list)

    def revise(self, settings: Params, task_definition: str) -> Revision:
        """A new revision."""
        number = 4_000_000_000_000_000_000 + secrets.randbelow(10**15) + len(self.revisions) * 10**15
        made = Revision(f"{self._arn('service-revision')}/{number}", settings, task_definition)
        self.revisions.append(made)
        return made

    def deploy(self, target: Revision, fails: str) -> Deployment:
        """Start to deploy a revision; a deployment that is under way is stopped for it."""
        running = self.current
        if running is not None:
            self._withdraw(running)
            running.reason = "A newer service deployment was started."
            running.enter("STOP_REQUESTED")
        arn = f"{self._arn('service-deployment')}/{secrets.token_urlsafe(16)[:21]}"
        made = Deployment(arn, target, self.good, self.pace, fails)
        self.deployments.insert(0, made)
        self.updated = made.created
        if self.run is not None and not fails:
            made.trial = self.run(target)
        return made

    def turn_back(self, deployment: Deployment) -> None:
        """Roll back what is under way, as somebody asked for."""
        self._withdraw(deployment)
        deployment.reason = deployment.why = "Service deployment rolled back because of a user request."
        deployment.enter("ROLLBACK_REQUESTED")

    def drain(self) -> None:
        """Begin to be deleted."""
        for each in self.deployments:
            self._withdraw(each)
        self.status, self.updated, self.draining_since = "DRAINING", now(), time.monotonic()

    def settle(self) -> None:
        """Let happen what the time has come for."""
        if self.status == "ACTIVE":
            for each in reversed(self.deployments):
                while each.advance() or self._fall_back(each):
                    pass
                if each.status == "SUCCESSFUL" and each is self.deployments[0]:
                    self.good = each.target
        elif self.status == "DRAINING" and time.monotonic() >= self.draining_since + self.pace():
            self.status, self.updated = "INACTIVE", now()

    @property
    def current(self) -> Deployment | None:
        """The deployment that is under way."""
        newest = self.deployments[0] if self.deployments else None
        return newest if newest is not None and not newest.is_over and self.status == "ACTIVE" else None

    @property
    def active(self) -> list[Revision]:
        """The revisions that have tasks, the older first: two while a deployment is under way."""
        if self.status == "INACTIVE" or not self.deployments:
            return []
        newest = self.deployments[0]
        if self.current is None:
            return [self.good or newest.target]
        return [each for each in (newest.source, newest.target) if each is not None]

    def _fall_back(self, deployment: Deployment) -> bool:
        """One step of a rollback: what is not what runs is started again, and only then the rollback is over."""
        trial, recovery = deployment.trial, deployment.recovery
        if deployment.status != "ROLLBACK_IN_PROGRESS" or (trial is not None and trial.verdict is None):
            return False
        if deployment.source is None:
            deployment.reason = NO_CANDIDATE
            deployment.enter("ROLLBACK_FAILED", 0)
            return True
        if self.run is not None and recovery is None and self._running() is not deployment.source:
            deployment.recovery = self.run(deployment.source)
            return False
        if not deployment.has_waited(_HALF) or (recovery is not None and recovery.verdict is None):
            return False
        failed = recovery is not None and not recovery.verdict
        deployment.enter("ROLLBACK_FAILED" if failed else "ROLLBACK_SUCCESSFUL", _HALF)
        return True

    def _running(self) -> Revision | None:
        """The revision whose process answers: the last that took over."""
        for each in self.deployments:
            if each.recovery is not None and each.recovery.verdict:
                return each.source
            if each.trial is not None and each.trial.verdict:
                return each.target
        return None

    def _withdraw(self, deployment: Deployment) -> None:
        for trial in (deployment.trial, deployment.recovery):
            if trial is not None and trial.verdict is None:
                trial.give_up()

    def _arn(self, kind: str) -> str:
        return self.arn.replace(":service/", f":{kind}/", 1)


def host_of(name: str, region: str) -> str:
    """The host a service answers for: two letters of its name, and an id drawn by lot."""
    return f"{name[:2].lower().strip('-_') or 'ex'}-{uuid.uuid4().hex}.ecs.{region}.on.aws"
