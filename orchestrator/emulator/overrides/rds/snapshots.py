"""Override DB snapshots, automated backups and restores: taken over time, restored to a new instance."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.overrides.rds import validation
from orchestrator.emulator.overrides.rds.databases import Databases, Work
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
StartServer = Callable[[Instance], Work]
"""Starts the server of a new instance."""


@dataclass
class SnapshotState:
    """What the backend does not store of a snapshot: the instance as it was, and when the copy is complete."""

    source: Instance
    ready_at: float
    taken_at: datetime
    work: Work = None

    @property
    def status(self) -> str:
        """Return the snapshot's Status."""
        if time.monotonic() < self.ready_at or (self.work is not None and not self.work.done()):
            return "creating"
        return "failed" if self.work is not None and self.work.exception() else "available"


class Snapshots(Databases):
    """Manual snapshots, automated backups, both kinds of restore."""

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._snapshots: dict[tuple[str, str], SnapshotState] = {}
        self._retained_backups: dict[str, tuple[Instance, Params]] = {}

    @abstractmethod
    def _create_instance(
        self, name: str, attributes: Params, params: Params, context: CallContext, start_server: StartServer
    ) -> Params:
        """Create an instance with these attributes, whose server ``start_server`` starts."""

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
        self._snapshots.pop((context.region, name), None)
        if self.state.database_engine is not None:
            self.state.database_engine.delete_snapshot(f"{context.region}-{name}")
        return response

    def describe_db_instance_automated_backups(self, params: Params, context: CallContext) -> Params:
        """Describe backups: active ones of existing instances, retained ones of deleted instances."""
        active_backups = [
            self._backup_shape(item, "active")
            for item in self._instances.values()
            if item.region == context.region and item.attributes["BackupRetentionPeriod"]
        ]
        backups = active_backups + [
            shape for instance, shape in self._retained_backups.values() if instance.region == context.region
        ]
        name, resource_id = params.get("DBInstanceIdentifier", "").lower(), params.get("DbiResourceId", "")
        return {
            "DBInstanceAutomatedBackups": [
                item
                for item in backups
                if name in ("", item["DBInstanceIdentifier"]) and resource_id in ("", item["DbiResourceId"])
            ]
        }

    def delete_db_instance_automated_backup(self, params: Params, context: CallContext) -> Params:
        """Delete the backup that a deleted instance left."""
        resource_id = params.get("DbiResourceId", "")
        if resource_id not in self._retained_backups:
            message = f"Automated backup not found for {resource_id}."
            raise AwsError("DBInstanceAutomatedBackupNotFound", message, 404)
        _, shape = self._retained_backups.pop(resource_id)
        return {"DBInstanceAutomatedBackup": {**shape, "Status": "deleting"}}

    def restore_db_instance_from_db_snapshot(self, params: Params, context: CallContext) -> Params:
        """Restore an available snapshot to a new instance."""
        name = params["DBSnapshotIdentifier"].lower()
        snapshot = self._snapshots.get((context.region, name))
        if snapshot is None:
            raise AwsError("DBSnapshotNotFound", f"DBSnapshot not found: {name}", 404)
        if snapshot.status != "available":
            message = f"DBSnapshot is not in available state: {snapshot.status}."
            raise AwsError("InvalidDBSnapshotState", message, 400)

        def start_server(instance: Instance) -> Work:
            settings, copy_name = self._settings(instance), f"{context.region}-{name}"
            return self._with_engine(
                lambda engine: engine.restore_snapshot(instance.resource_id, instance.name, settings, copy_name)
            )

        return self._restore_instance(params["DBInstanceIdentifier"], snapshot.source, params, context, start_server)

    def restore_db_instance_to_point_in_time(self, params: Params, context: CallContext) -> Params:
        """Restore an instance with backups, or one that is gone and left its backup, to a new instance."""
        source = self._find_restore_source(params, context)
        if not source.attributes["BackupRetentionPeriod"]:
            message = f"The instance {source.name} doesn't have automated backups enabled."
            raise AwsError("PointInTimeRestoreNotEnabled", message, 400)
        restore_time, use_latest = params.get("RestoreTime"), params.get("UseLatestRestorableTime", False)
        if (restore_time is None) == (not use_latest):
            raise validation.invalid_combination("Specify either RestoreTime or UseLatestRestorableTime.")
        if restore_time is not None:
            restore_time = restore_time if restore_time.tzinfo else restore_time.replace(tzinfo=UTC)
            self._check_restore_time(restore_time, source)

        def start_server(instance: Instance) -> Work:
            settings = self._settings(instance)
            return self._with_engine(
                lambda engine: engine.restore_time(
                    instance.resource_id, instance.name, settings, source.resource_id, restore_time
                )
            )

        return self._restore_instance(params["TargetDBInstanceIdentifier"], source, params, context, start_server)

    def _find_restore_source(self, params: Params, context: CallContext) -> Instance:
        """Return the instance to restore: by its name, or by its resource ID or backup, also after its deletion."""
        if "SourceDBInstanceIdentifier" in params:
            return self._get_instance(params["SourceDBInstanceIdentifier"], context)
        resource_id = params.get("SourceDbiResourceId", "")
        backup_arn = params.get("SourceDBInstanceAutomatedBackupsArn")
        for instance in self._instances.values():
            if instance.resource_id == resource_id:
                return instance
        for instance, shape in self._retained_backups.values():
            if resource_id == instance.resource_id or backup_arn == shape["DBInstanceAutomatedBackupsArn"]:
                return instance
        message = f"Automated backup not found for {resource_id or backup_arn}."
        raise AwsError("DBInstanceAutomatedBackupNotFound", message, 404)

    def _check_restore_time(self, restore_at: datetime, source: Instance) -> None:
        retained = self._retained_backups.get(source.resource_id)
        latest = retained[1]["RestoreWindow"]["LatestTime"] if retained else source.latest_restorable
        if not source.earliest_restorable_time <= restore_at <= latest:
            message = (
                f"The specified instance cannot be restored to a time later than {latest.isoformat()}"
                f" or earlier than {source.earliest_restorable_time.isoformat()}."
            )
            raise validation.invalid_value(message)

    def _restore_instance(
        self, target: str, source: Instance, params: Params, context: CallContext, start_server: StartServer
    ) -> Params:
        name = validation.normalise_identifier(target)
        if self._find_instance(name, context) is not None:
            raise AwsError("DBInstanceAlreadyExists", "DB instance already exists", 400)
        restored = {
            key: deepcopy(value) for key, value in source.attributes.items() if key not in _UNRESTORED_ATTRIBUTES
        }
        attributes = {**restored, **validation.extract_attributes(params)}
        attributes.setdefault("DeletionProtection", False)
        attributes.setdefault("MultiAZ", False)
        attributes.setdefault("PubliclyAccessible", False)
        attributes["Port"] = params.get("Port", source.attributes["Port"])
        password = source.master_password

        def start_with_password(instance: Instance) -> Work:
            instance.master_password = password
            return start_server(instance)

        return {"DBInstance": self._create_instance(name, attributes, params, context, start_with_password)}

    def _take_snapshot(self, instance: Instance, snapshot_id: str, tags: list[Params]) -> Params:
        name = snapshot_id.lower()
        snapshot_params = {"DBInstanceIdentifier": instance.name, "DBSnapshotIdentifier": name, "Tags": tags}
        response = self.state.call("rds", "CreateDBSnapshot", instance.region, **snapshot_params)
        work = self._with_engine(lambda engine: engine.take_snapshot(instance.resource_id, f"{instance.region}-{name}"))
        ready_at = time.monotonic() + self.state.settle_seconds("rds")
        source = replace(instance, attributes=deepcopy(instance.attributes), transition=None)
        self._snapshots[instance.region, name] = SnapshotState(source, ready_at, datetime.now(UTC), work)
        return {"DBSnapshot": self._snapshot_shape(response["DBSnapshot"], instance.region)}

    def _snapshot_shape(self, backend_shape: Params, region: str) -> Params:
        """Return the DBSnapshot shape, with its state and the instance's attributes when it was taken."""
        snapshot = self._snapshots.get((region, backend_shape["DBSnapshotIdentifier"]))
        if snapshot is None:
            return {**backend_shape, "Status": "available", "PercentProgress": 100}
        members = ("Engine", "EngineVersion", "AllocatedStorage", "StorageType", "LicenseModel", "KmsKeyId")
        attributes = snapshot.source.attributes
        return {
            **backend_shape,
            **{name: attributes[name] for name in members if name in attributes},
            "DbiResourceId": snapshot.source.resource_id,
            "MasterUsername": attributes["MasterUsername"],
            "SnapshotCreateTime": snapshot.taken_at,
            "Status": snapshot.status,
            "PercentProgress": 100 if snapshot.status == "available" else 0,
        }

    def _retain_backup(self, instance: Instance) -> None:
        self._retained_backups[instance.resource_id] = (instance, self._backup_shape(instance, "retained"))

    def _backup_shape(self, instance: Instance, status: str) -> Params:
        """Return the DBInstanceAutomatedBackup shape."""
        members = ("Engine", "EngineVersion", "AllocatedStorage", "MasterUsername", "StorageType", "LicenseModel")
        latest = datetime.now(UTC).replace(microsecond=0) if status == "retained" else instance.latest_restorable
        arn_prefix = f"arn:aws:rds:{instance.region}:{self.state.account}"
        return {
            **{name: instance.attributes[name] for name in members if name in instance.attributes},
            "DBInstanceIdentifier": instance.name,
            "DBInstanceArn": f"{arn_prefix}:db:{instance.name}",
            "DbiResourceId": instance.resource_id,
            "DBInstanceAutomatedBackupsArn": f"{arn_prefix}:auto-backup:ab-{instance.resource_id[3:].lower()}",
            "Region": instance.region,
            "Status": status,
            "Port": instance.attributes["Port"],
            "InstanceCreateTime": instance.created_at,
            "Encrypted": instance.attributes["StorageEncrypted"],
            "BackupRetentionPeriod": instance.attributes["BackupRetentionPeriod"],
            "RestoreWindow": {
                "EarliestTime": instance.earliest_restorable_time,
                "LatestTime": max(latest, instance.earliest_restorable_time),
            },
        }
