"""DB snapshots, automated backups and restores: taken in time, restored to a new instance with AWS's defaults."""

from __future__ import annotations

import time
from abc import abstractmethod
from copy import deepcopy
from datetime import UTC, datetime, timedelta

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.overrides.rds import validation
from orchestrator.emulator.overrides.rds.base import Registry
from orchestrator.emulator.overrides.rds.instance import Instance
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, World

# A restored instance does not take these over from its source.
_NOT_RESTORED = ("DeletionProtection", "MultiAZ", "VpcSecurityGroups", "DBParameterGroups", "PubliclyAccessible")


class Snapshots(Registry):
    """Manual snapshots, automated backups, both kinds of restore."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._ready: dict[tuple[str, str], float] = {}
        self._frozen: dict[tuple[str, str], Params] = {}
        self._retained: list[Params] = []

    @abstractmethod
    def _created(self, name: str, facts: Params, params: Params, context: Context) -> Params:
        """Make an instance with these facts."""

    def create_db_snapshot(self, params: Params, context: Context) -> Params:
        """Of an available instance; ``creating`` until it has settled."""
        found = self._instance(params["DBInstanceIdentifier"], context)
        found.require_available()
        return self._take_snapshot(found, params["DBSnapshotIdentifier"], params.get("Tags", []))

    def describe_db_snapshots(self, params: Params, context: Context) -> Params:
        """With their states; identifiers in any case."""
        wanted = {name: value.lower() if name.endswith("Identifier") else value for name, value in params.items()}
        found = context.forward(wanted)
        found["DBSnapshots"] = [self._snapshot(each, context.region) for each in found["DBSnapshots"]]
        return found

    def delete_db_snapshot(self, params: Params, context: Context) -> Params:
        """Gone at once."""
        name = params["DBSnapshotIdentifier"].lower()
        answer = context.forward({"DBSnapshotIdentifier": name})
        self._frozen.pop((context.region, name), None)
        return answer

    def describe_db_instance_automated_backups(self, params: Params, context: Context) -> Params:
        """Active ones of living instances, retained ones of deleted instances."""
        living = [self._backup(each, "active") for each in self._instances.values() if each.region == context.region]
        found = [each for each in living if each["BackupRetentionPeriod"]] + self._retained
        name = params.get("DBInstanceIdentifier", "").lower()
        return {"DBInstanceAutomatedBackups": [each for each in found if name in ("", each["DBInstanceIdentifier"])]}

    def restore_db_instance_from_db_snapshot(self, params: Params, context: Context) -> Params:
        """To a new instance."""
        name = params["DBSnapshotIdentifier"].lower()
        facts = self._frozen.get((context.region, name))
        if facts is None:
            raise AwsError("DBSnapshotNotFound", f"DBSnapshot not found: {name}", 404)
        return self._restored(params["DBInstanceIdentifier"], facts, params, context)

    def restore_db_instance_to_point_in_time(self, params: Params, context: Context) -> Params:
        """To a new instance, from a living one with backups, at a time between its creation and now."""
        source = self._instance(params.get("SourceDBInstanceIdentifier", ""), context)
        if not source.facts["BackupRetentionPeriod"]:
            message = f"The instance {source.name} doesn't have automated backups enabled."
            raise AwsError("PointInTimeRestoreNotEnabled", message, 400)
        wanted, latest = params.get("RestoreTime"), params.get("UseLatestRestorableTime", False)
        if (wanted is None) == (not latest):
            raise validation.conflict("Specify either RestoreTime or UseLatestRestorableTime.")
        if wanted is not None:
            self._check_time(wanted, source)
        return self._restored(params["TargetDBInstanceIdentifier"], source.facts, params, context)

    def _check_time(self, wanted: datetime, source: Instance) -> None:
        at = wanted if wanted.tzinfo else wanted.replace(tzinfo=UTC)
        earliest = max(source.created, datetime.now(UTC) - timedelta(days=source.facts["BackupRetentionPeriod"]))
        if not earliest <= at <= datetime.now(UTC):
            message = f"The specified instance cannot be restored to {at.isoformat()}: outside of its restore window."
            raise validation.invalid(message)

    def _restored(self, target: str, source: Params, params: Params, context: Context) -> Params:
        name = validation.identifier(target)
        if self._instance_or_none(name, context) is not None:
            raise AwsError("DBInstanceAlreadyExists", "DB instance already exists", 400)
        kept = {key: deepcopy(value) for key, value in source.items() if key not in _NOT_RESTORED}
        facts = {**kept, **validation.facts_of(params)}
        facts.setdefault("DeletionProtection", False)
        facts.setdefault("MultiAZ", False)
        facts.setdefault("PubliclyAccessible", False)
        facts["Port"] = params.get("Port", source["Port"])
        return {"DBInstance": self._created(name, facts, params, context)}

    def _take_snapshot(self, found: Instance, given: str, tags: list[Params]) -> Params:
        name = given.lower()
        told = {"DBInstanceIdentifier": found.name, "DBSnapshotIdentifier": name, "Tags": tags}
        answer = self.world.call("rds", "CreateDBSnapshot", found.region, **told)
        self._ready[found.region, name] = time.monotonic() + self.world.settle("rds")
        self._frozen[found.region, name] = deepcopy(found.facts)
        return {"DBSnapshot": self._snapshot(answer["DBSnapshot"], found.region)}

    def _snapshot(self, backend: Params, region: str) -> Params:
        """The DBSnapshot shape, with its state and the facts of when it was taken."""
        key = (region, backend["DBSnapshotIdentifier"])
        ready = time.monotonic() >= self._ready.get(key, 0.0)
        facts = self._frozen.get(key, {})
        members = ("Engine", "EngineVersion", "AllocatedStorage", "StorageType", "LicenseModel", "KmsKeyId")
        return {
            **backend,
            **{name: facts[name] for name in members if name in facts},
            "Status": "available" if ready else "creating",
            "PercentProgress": 100 if ready else 0,
        }

    def _retain(self, found: Instance, context: Context, *, keep: bool) -> None:
        if keep:
            self._retained.append(self._backup(found, "retained"))

    def _backup(self, found: Instance, status: str) -> Params:
        """The DBInstanceAutomatedBackup shape."""
        members = ("Engine", "EngineVersion", "AllocatedStorage", "MasterUsername", "StorageType", "LicenseModel")
        now = datetime.now(UTC).replace(microsecond=0)
        return {
            **{name: found.facts[name] for name in members if name in found.facts},
            "DBInstanceIdentifier": found.name,
            "DBInstanceArn": f"arn:aws:rds:{found.region}:{self.world.account}:db:{found.name}",
            "Region": found.region,
            "Status": status,
            "Port": found.facts["Port"],
            "InstanceCreateTime": found.created,
            "Encrypted": found.facts["StorageEncrypted"],
            "BackupRetentionPeriod": found.facts["BackupRetentionPeriod"],
            "RestoreWindow": {"EarliestTime": found.created, "LatestTime": now},
        }
