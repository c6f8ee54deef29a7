"""Override DB snapshots, automated backups and restores: taken over time, restored to a new instance."""

from __future__ import annotations

import time
from abc import abstractmethod
from copy import deepcopy
from datetime import UTC, datetime, timedelta

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.overrides.rds import validation
from orchestrator.emulator.overrides.rds.base import RdsBase
from orchestrator.emulator.overrides.rds.instance import Instance
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState

# A restored instance does not take these over from its source.
_UNRESTORED_ATTRIBUTES = (
    "DeletionProtection",
    "MultiAZ",
    "VpcSecurityGroups",
    "DBParameterGroups",
    "PubliclyAccessible",
)


class Snapshots(RdsBase):
    """Manual snapshots, automated backups, both kinds of restore."""

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._snapshot_ready_at: dict[tuple[str, str], float] = {}
        self._snapshot_attributes: dict[tuple[str, str], Params] = {}
        self._retained_backups: list[Params] = []

    @abstractmethod
    def _create_instance(self, name: str, attributes: Params, params: Params, context: CallContext) -> Params:
        """Create an instance with these attributes."""

    def create_db_snapshot(self, params: Params, context: CallContext) -> Params:
        """Snapshot an available instance; ``creating`` until the settle time is over."""
        instance = self._get_instance(params["DBInstanceIdentifier"], context)
        instance.require_available()
        return self._take_snapshot(instance, params["DBSnapshotIdentifier"], params.get("Tags", []))

    def describe_db_snapshots(self, params: Params, context: CallContext) -> Params:
        """Describe snapshots with their states, by identifier in any case."""
        query_params = {name: value.lower() if name.endswith("Identifier") else value for name, value in params.items()}
        response = context.forward(query_params)
        response["DBSnapshots"] = [
            self._snapshot_shape(snapshot, context.region) for snapshot in response["DBSnapshots"]
        ]
        return response

    def delete_db_snapshot(self, params: Params, context: CallContext) -> Params:
        """Delete a snapshot at once."""
        name = params["DBSnapshotIdentifier"].lower()
        response = context.forward({"DBSnapshotIdentifier": name})
        self._snapshot_attributes.pop((context.region, name), None)
        return response

    def describe_db_instance_automated_backups(self, params: Params, context: CallContext) -> Params:
        """Describe backups: active ones of existing instances, retained ones of deleted instances."""
        active_backups = [
            self._backup_shape(item, "active") for item in self._instances.values() if item.region == context.region
        ]
        backups = [item for item in active_backups if item["BackupRetentionPeriod"]] + self._retained_backups
        name = params.get("DBInstanceIdentifier", "").lower()
        return {"DBInstanceAutomatedBackups": [item for item in backups if name in ("", item["DBInstanceIdentifier"])]}

    def restore_db_instance_from_db_snapshot(self, params: Params, context: CallContext) -> Params:
        """Restore a snapshot to a new instance."""
        name = params["DBSnapshotIdentifier"].lower()
        attributes = self._snapshot_attributes.get((context.region, name))
        if attributes is None:
            raise AwsError("DBSnapshotNotFound", f"DBSnapshot not found: {name}", 404)
        return self._restore_instance(params["DBInstanceIdentifier"], attributes, params, context)

    def restore_db_instance_to_point_in_time(self, params: Params, context: CallContext) -> Params:
        """Restore an existing instance with backups to a new one, at a time since its creation."""
        source = self._get_instance(params.get("SourceDBInstanceIdentifier", ""), context)
        if not source.attributes["BackupRetentionPeriod"]:
            message = f"The instance {source.name} doesn't have automated backups enabled."
            raise AwsError("PointInTimeRestoreNotEnabled", message, 400)
        restore_time, use_latest = params.get("RestoreTime"), params.get("UseLatestRestorableTime", False)
        if (restore_time is None) == (not use_latest):
            raise validation.invalid_combination("Specify either RestoreTime or UseLatestRestorableTime.")
        if restore_time is not None:
            self._check_restore_time(restore_time, source)
        return self._restore_instance(params["TargetDBInstanceIdentifier"], source.attributes, params, context)

    def _check_restore_time(self, restore_time: datetime, source: Instance) -> None:
        restore_at = restore_time if restore_time.tzinfo else restore_time.replace(tzinfo=UTC)
        earliest = max(
            source.created_at, datetime.now(UTC) - timedelta(days=source.attributes["BackupRetentionPeriod"])
        )
        if not earliest <= restore_at <= datetime.now(UTC):
            message = (
                f"The specified instance cannot be restored to {restore_at.isoformat()}: outside of its restore window."
            )
            raise validation.invalid_value(message)

    def _restore_instance(self, target: str, source: Params, params: Params, context: CallContext) -> Params:
        name = validation.normalise_identifier(target)
        if self._find_instance(name, context) is not None:
            raise AwsError("DBInstanceAlreadyExists", "DB instance already exists", 400)
        restored = {key: deepcopy(value) for key, value in source.items() if key not in _UNRESTORED_ATTRIBUTES}
        attributes = {**restored, **validation.extract_attributes(params)}
        attributes.setdefault("DeletionProtection", False)
        attributes.setdefault("MultiAZ", False)
        attributes.setdefault("PubliclyAccessible", False)
        attributes["Port"] = params.get("Port", source["Port"])
        return {"DBInstance": self._create_instance(name, attributes, params, context)}

    def _take_snapshot(self, instance: Instance, snapshot_id: str, tags: list[Params]) -> Params:
        name = snapshot_id.lower()
        snapshot_params = {"DBInstanceIdentifier": instance.name, "DBSnapshotIdentifier": name, "Tags": tags}
        response = self.state.call("rds", "CreateDBSnapshot", instance.region, **snapshot_params)
        self._snapshot_ready_at[instance.region, name] = time.monotonic() + self.state.settle_seconds("rds")
        self._snapshot_attributes[instance.region, name] = deepcopy(instance.attributes)
        return {"DBSnapshot": self._snapshot_shape(response["DBSnapshot"], instance.region)}

    def _snapshot_shape(self, backend_shape: Params, region: str) -> Params:
        """Return the DBSnapshot shape, with its state and the instance's attributes when it was taken."""
        key = (region, backend_shape["DBSnapshotIdentifier"])
        is_ready = time.monotonic() >= self._snapshot_ready_at.get(key, 0.0)
        attributes = self._snapshot_attributes.get(key, {})
        members = ("Engine", "EngineVersion", "AllocatedStorage", "StorageType", "LicenseModel", "KmsKeyId")
        return {
            **backend_shape,
            **{name: attributes[name] for name in members if name in attributes},
            "Status": "available" if is_ready else "creating",
            "PercentProgress": 100 if is_ready else 0,
        }

    def _retain_backup(self, instance: Instance, context: CallContext, *, should_keep: bool) -> None:
        if should_keep:
            self._retained_backups.append(self._backup_shape(instance, "retained"))

    def _backup_shape(self, instance: Instance, status: str) -> Params:
        """Return the DBInstanceAutomatedBackup shape."""
        members = ("Engine", "EngineVersion", "AllocatedStorage", "MasterUsername", "StorageType", "LicenseModel")
        now = datetime.now(UTC).replace(microsecond=0)
        return {
            **{name: instance.attributes[name] for name in members if name in instance.attributes},
            "DBInstanceIdentifier": instance.name,
            "DBInstanceArn": f"arn:aws:rds:{instance.region}:{self.state.account}:db:{instance.name}",
            "Region": instance.region,
            "Status": status,
            "Port": instance.attributes["Port"],
            "InstanceCreateTime": instance.created_at,
            "Encrypted": instance.attributes["StorageEncrypted"],
            "BackupRetentionPeriod": instance.attributes["BackupRetentionPeriod"],
            "RestoreWindow": {"EarliestTime": instance.created_at, "LatestTime": now},
        }
