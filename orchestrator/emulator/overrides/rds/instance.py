"""What the emulator knows of a DB instance beyond its backend: its facts, its state over time, what is pending."""

from __future__ import annotations

import secrets
import string
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params

_SETTLING_STARTS = 0.25  # of the settle time: AWS says "available" for a moment before it says "modifying"


def _resource_id() -> str:
    """What names an instance for ever, whatever it is called."""
    return "db-" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(26))


@dataclass
class Phase:
    """Something under way: its status, when it shows and ends (monotonic), what holds when it is over."""

    status: str
    begins: float
    ends: float
    then: str = "available"
    applies: Params = field(default_factory=dict)


@dataclass
class Instance:
    """One DB instance.  ``facts`` are DBInstance members that override the backend's answer."""

    name: str
    region: str
    facts: Params
    host: str
    status: str = "available"
    phase: Phase | None = None
    deferred: Params = field(default_factory=dict)
    created: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    created_yet: bool = False
    resource_id: str = field(default_factory=_resource_id)

    def begin(self, status: str, seconds: float, *, then: str = "available", applies: Params | None = None) -> None:
        """Start something; a change shows as available at first, everything else at once."""
        now = time.monotonic()
        delay = seconds * _SETTLING_STARTS if status == "modifying" else 0.0
        self.phase = Phase(status, now + delay, now + seconds, then, applies or {})

    def settle(self) -> None:
        """Finish what is under way if its time is over."""
        phase = self.phase
        if phase is None or time.monotonic() < phase.ends:
            return
        self.facts.update({name: value for name, value in phase.applies.items() if name != "MasterUserPassword"})
        self.status, self.phase, self.created_yet = phase.then, None, True

    @property
    def shown(self) -> str:
        """The status at this moment."""
        if self.phase is not None and time.monotonic() >= self.phase.begins:
            return self.phase.status
        return self.status

    def require_available(self) -> None:
        """Raise InvalidDBInstanceState while something is under way or it is not running."""
        if self.phase is not None or self.status != "available":
            message = f"Database instance is not in available state: {self.shown}."
            raise AwsError("InvalidDBInstanceState", message, 400)

    @property
    def pending(self) -> Params:
        """The PendingModifiedValues shape."""
        waiting = {**(self.phase.applies if self.phase else {}), **self.deferred}
        return {name: "****" if name == "MasterUserPassword" else value for name, value in waiting.items()}

    def shape(self, backend: Params) -> Params:
        """The DBInstance shape: the backend's, with the facts and the state laid over it."""
        facts = dict(self.facts)
        port = facts.pop("Port")
        shape: Params = {
            **{name: value for name, value in backend.items() if value not in ("", None)},
            **facts,
            "DBInstanceIdentifier": self.name,
            "DBInstanceStatus": self.shown,
            "DbiResourceId": self.resource_id,
            "PendingModifiedValues": self.pending,
            "InstanceCreateTime": self.created,
        }
        shape.pop("LatestRestorableTime", None)
        if not self.created_yet:
            shape.pop("Endpoint", None)
            return shape
        shape["Endpoint"] = {"Address": self.host, "Port": port, "HostedZoneId": "Z29XKXDKYMONMX"}
        if facts["BackupRetentionPeriod"]:
            shape["LatestRestorableTime"] = datetime.now(UTC).replace(microsecond=0)
        return shape


def group_shape(groups: list[str]) -> list[dict[str, Any]]:
    """The VpcSecurityGroups member."""
    return [{"VpcSecurityGroupId": each, "Status": "active"} for each in groups]
