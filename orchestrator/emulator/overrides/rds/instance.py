"""Hold what the backend does not store of a DB instance: attributes, state over time, pending changes."""

from __future__ import annotations

import secrets
import string
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params

_MODIFYING_DELAY_FRACTION = 0.25  # of the settle time: AWS says "available" for a moment before it says "modifying"

RESTORABLE_LAG = timedelta(seconds=1)


def _generate_resource_id() -> str:
    """Return a DbiResourceId, which survives a rename of the instance."""
    return "db-" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(26))


@dataclass
class Transition:
    """A state change in progress: its status, monotonic start and end, and the result applied at the end."""

    status: str
    starts_at: float
    ends_at: float
    final_status: str = "available"
    changes: Params = field(default_factory=dict)
    work: Future[None] | None = None
    failed_status: str = "failed"


@dataclass
class Instance:
    """One DB instance. ``attributes`` are DBInstance members that override the backend's response.

    ``earliest_restorable`` is the start of its restore window, if its database is real and so has one of its own.
    ``upgrade_group`` is the parameter group that a pending upgrade brings along; RDS does not list it as pending.
    """

    name: str
    region: str
    attributes: Params
    host: str
    status: str = "available"
    transition: Transition | None = None
    deferred: Params = field(default_factory=dict)
    upgrade_group: str | None = None
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    is_created: bool = False
    resource_id: str = field(default_factory=_generate_resource_id)
    master_password: str = ""
    earliest_restorable: datetime | None = None

    def start_transition(
        self,
        status: str,
        seconds: float,
        *,
        final_status: str = "available",
        changes: Params | None = None,
        work: Future[None] | None = None,
        failed_status: str = "failed",
    ) -> None:
        """Start a transition; a modification still shows the old status for a moment, as on AWS.

        It lasts at least until ``work`` ends, and leads to ``failed_status`` if that fails.
        """
        now = time.monotonic()
        delay = seconds * _MODIFYING_DELAY_FRACTION if status == "modifying" else 0.0
        self.transition = Transition(
            status, now + delay, now + seconds, final_status, changes or {}, work, failed_status
        )

    def refresh(self) -> None:
        """Finish the transition if its time and its work are over."""
        transition = self.transition
        if transition is None or time.monotonic() < transition.ends_at:
            return
        if transition.work is not None:
            if not transition.work.done():
                return
            if transition.work.exception() is not None:
                self.status, self.transition = transition.failed_status, None
                return
        self.attributes.update(
            {name: value for name, value in transition.changes.items() if name != "MasterUserPassword"}
        )
        if "EngineVersion" in transition.changes and self.upgrade_group is not None:
            self.attributes["DBParameterGroups"] = parameter_group_shapes(self.upgrade_group)
            self.upgrade_group = None
        self.status, self.transition, self.is_created = transition.final_status, None, True

    @property
    def visible_status(self) -> str:
        """Return the current status."""
        if self.transition is not None and time.monotonic() >= self.transition.starts_at:
            return self.transition.status
        return self.status

    def require_available(self) -> None:
        """Raise AwsError InvalidDBInstanceState unless the instance is available and has no transition."""
        if self.transition is not None or self.status != "available":
            message = f"Database instance is not in available state: {self.visible_status}."
            raise AwsError("InvalidDBInstanceState", message, 400)

    @property
    def pending_values(self) -> Params:
        """Return the PendingModifiedValues shape."""
        waiting_values = {**(self.transition.changes if self.transition else {}), **self.deferred}
        return {name: "****" if name == "MasterUserPassword" else value for name, value in waiting_values.items()}

    def shape(self, backend_shape: Params) -> Params:
        """Return the DBInstance shape: the backend's, overridden by attributes and state."""
        attributes = dict(self.attributes)
        port = attributes.pop("Port")
        shape: Params = {
            **{name: value for name, value in backend_shape.items() if value not in ("", None)},
            **attributes,
            "DBInstanceIdentifier": self.name,
            "DBInstanceStatus": self.visible_status,
            "DbiResourceId": self.resource_id,
            "PendingModifiedValues": self.pending_values,
            "InstanceCreateTime": self.created_at,
        }
        shape.pop("LatestRestorableTime", None)
        if not self.is_created:
            shape.pop("Endpoint", None)
            return shape
        shape["Endpoint"] = {"Address": self.host, "Port": port, "HostedZoneId": "Z29XKXDKYMONMX"}
        if attributes["BackupRetentionPeriod"]:
            shape["LatestRestorableTime"] = self.latest_restorable
        return shape

    @property
    def earliest_restorable_time(self) -> datetime:
        """Return the start of the restore window."""
        oldest_backup = datetime.now(UTC) - timedelta(days=self.attributes["BackupRetentionPeriod"])
        return max(self.earliest_restorable or self.created_at, oldest_backup)

    @property
    def latest_restorable(self) -> datetime:
        """Return the end of the restore window, which lags: on AWS by up to five minutes, here by a second."""
        latest = datetime.now(UTC).replace(microsecond=0) - RESTORABLE_LAG
        return max(latest, self.earliest_restorable_time)


def security_group_shape(group_ids: list[str]) -> list[dict[str, Any]]:
    """Return the VpcSecurityGroups member."""
    return [{"VpcSecurityGroupId": group_id, "Status": "active"} for group_id in group_ids]


def parameter_group_shapes(name: str, status: str = "in-sync") -> list[Params]:
    """Return the DBParameterGroups member."""
    return [{"DBParameterGroupName": name, "ParameterApplyStatus": status}]
