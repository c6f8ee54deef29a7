"""Map each field of a database to its member in RDS responses, CreateDBInstance and ModifyDBInstance."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from orchestrator.resources._watched import Watched

NOT_FOUND_CODES = ("DBInstanceNotFound", "DBInstanceNotFoundFault")
BUSY_CODES = ("InvalidDBInstanceState", "InvalidDBInstanceStateFault")
NO_SNAPSHOT_STATUSES = frozenset({"failed", "incompatible-network", "incompatible-restore"})
"""Statuses in which RDS deletes an instance only without a final snapshot (model of DeleteDBInstance)."""
APPLY_IMMEDIATELY = "immediately"
USABLE_STATUSES = ("available", "storage-optimization")
TAG_APPLY = "orchestrator:apply"
TAG_CREDENTIALS = "orchestrator:credentials"
TAG_ROTATION = "orchestrator:rotation"
"""Tag: the last rotation of the password; empty if none, or if a rollback restored the one before."""
TAG_RESTORE_OF = "orchestrator:restore-of"
"""Tag of a restored instance until it has replaced another: ``PROJECT/ENVIRONMENT NAME NEW-NAME``."""
TAG_RESTORED_FROM = "orchestrator:restored-from"
"""Tag of a restored instance: what it was restored from, such as ``time 2026-11-30T14:05:00+00:00``."""
TAG_REPLACES = "orchestrator:replaces"
"""Tag of a restored instance: the name of the one that it has replaced, to go back to."""
TAG_REPLACED_BY = "orchestrator:replaced-by"
"""Tag of an instance that a restored one has replaced: ``PROJECT/ENVIRONMENT NAME``. It belongs to no plan."""

TAG_DRILL_OF = "orchestrator:drill-of"
"""Tag of the throwaway instance of a drill: ``PROJECT/ENVIRONMENT NAME``. It belongs to no plan."""
TAG_LAST_DRILL = "orchestrator:last-drill"
"""Tag of an instance: how the last drill of its backups ended, such as ``passed 2026-11-30T14:05:00+00:00 742``."""


class Setting(Struct, frozen=True):
    """One field: its JMESPath in a DBInstance and its members in CreateDBInstance and ModifyDBInstance."""

    live_path: str
    create_member: str
    modify_member: str | None


def _modifiable(member: str) -> Setting:
    return Setting(member, member, member)


def _immutable(member: str, create_name: str | None = None) -> Setting:
    return Setting(member, create_name or member, None)


SETTINGS: Mapping[str, Setting] = {
    "engine": _immutable("Engine"),
    "version": _modifiable("EngineVersion"),
    "instance_class": _modifiable("DBInstanceClass"),
    "storage_type": _modifiable("StorageType"),
    "storage_gb": _modifiable("AllocatedStorage"),
    "storage_max_gb": _modifiable("MaxAllocatedStorage"),
    "iops": _modifiable("Iops"),
    "throughput": _modifiable("StorageThroughput"),
    "encrypted": _immutable("StorageEncrypted"),
    "kms_key": _immutable("KmsKeyId"),
    "database": _immutable("DBName"),
    "username": _immutable("MasterUsername"),
    "port": Setting("Endpoint.Port", "Port", "DBPortNumber"),
    "subnet_group": _immutable("DBSubnetGroup.DBSubnetGroupName", "DBSubnetGroupName"),
    "security_groups": Setting("VpcSecurityGroups[].VpcSecurityGroupId", "VpcSecurityGroupIds", "VpcSecurityGroupIds"),
    "parameter_group": Setting(
        "DBParameterGroups[0].DBParameterGroupName", "DBParameterGroupName", "DBParameterGroupName"
    ),
    "availability_zone": _immutable("AvailabilityZone"),
    "multi_az": _modifiable("MultiAZ"),
    "public": _modifiable("PubliclyAccessible"),
    "network_type": _modifiable("NetworkType"),
    "ca_certificate": _modifiable("CACertificateIdentifier"),
    "backup_retention_days": _modifiable("BackupRetentionPeriod"),
    "backup_window": _modifiable("PreferredBackupWindow"),
    "maintenance_window": _modifiable("PreferredMaintenanceWindow"),
    "copy_tags_to_snapshots": _modifiable("CopyTagsToSnapshot"),
    "minor_upgrades": _modifiable("AutoMinorVersionUpgrade"),
    "lifecycle_support": _modifiable("EngineLifecycleSupport"),
    "deletion_protection": _modifiable("DeletionProtection"),
    "iam_authentication": Setting(
        "IAMDatabaseAuthenticationEnabled", "EnableIAMDatabaseAuthentication", "EnableIAMDatabaseAuthentication"
    ),
    "logs": Setting("EnabledCloudwatchLogsExports || `[]`", "EnableCloudwatchLogsExports", None),
    "insights": Setting("PerformanceInsightsEnabled", "EnablePerformanceInsights", "EnablePerformanceInsights"),
    "insights_retention_days": _modifiable("PerformanceInsightsRetentionPeriod"),
    "monitoring_seconds": _modifiable("MonitoringInterval"),
    "monitoring_role": _modifiable("MonitoringRoleArn"),
}

STORAGE_FIELDS = frozenset({"storage_type", "storage_gb", "storage_max_gb", "iops", "throughput"})
OUTAGE_FIELDS = frozenset({"instance_class", "version", "port"})
"""Fields whose change restarts the instance."""

DEFERRABLE_FIELDS = frozenset({"storage_type", "storage_gb", "iops", "throughput", "multi_az", "backup_retention_days"})
"""Fields that wait for the maintenance window by default without causing an outage; all others apply at once."""

FIELDS_BY_PENDING_MEMBER = {
    setting.modify_member: key for key, setting in SETTINGS.items() if setting.modify_member
} | {
    "Port": "port",
    "IAMDatabaseAuthenticationEnabled": "iam_authentication",
}
"""Field by member of PendingModifiedValues."""

_MODIFY = "Change it back with `aws rds modify-db-instance`"
WATCHED = {
    "option_group": Watched(
        "OptionGroupMemberships[?!starts_with(OptionGroupName, 'default:')].OptionGroupName", _MODIFY
    ),
    "dedicated_log_volume": Watched("DedicatedLogVolume", _MODIFY),
    "database_insights": Watched("DatabaseInsightsMode", _MODIFY, ("standard",)),
    "associated_roles": Watched("AssociatedRoles[].RoleArn", "Remove them with `aws rds remove-role-from-db-instance`"),
    "replicas": Watched("ReadReplicaDBInstanceIdentifiers", "The orchestrator does not manage replicas"),
    "activity_stream": Watched("ActivityStreamStatus", "Stop it with `aws rds stop-activity-stream`", ("stopped",)),
    "automation_mode": Watched("AutomationMode", _MODIFY, ("full",)),
    "backup_target": Watched("BackupTarget", _MODIFY, ("region",)),
    "domain": Watched("DomainMemberships", _MODIFY),
    "license_model": Watched("LicenseModel", _MODIFY, ("postgresql-license",)),
    "classic_security_groups": Watched("DBSecurityGroups[].DBSecurityGroupName", _MODIFY),
    "cluster": Watched("DBClusterIdentifier", "The orchestrator does not manage clusters"),
    "customer_owned_ip": Watched("CustomerOwnedIpEnabled", _MODIFY),
    "processor_features": Watched("ProcessorFeatures", _MODIFY),
    "instance_profile": Watched("CustomIamInstanceProfile", _MODIFY),
    "storage_volumes": Watched("AdditionalStorageVolumes", _MODIFY),
    "multi_tenant": Watched("MultiTenant", _MODIFY),
    "replica_mode": Watched("ReplicaMode", _MODIFY),
    "backup_replication": Watched(
        "DBInstanceAutomatedBackupsReplications",
        "Backups are copied to another region; to stop that, run "
        "`aws rds stop-db-instance-automated-backups-replication`",
    ),
    "aws_backup": Watched("AwsBackupRecoveryPointArn", "AWS Backup manages its backups"),
    "parameter_group": Watched(
        "DBParameterGroups[?!starts_with(DBParameterGroupName, 'default.')].DBParameterGroupName",
        "It is left unchanged. Declare what it sets as `parameters`",
    ),
    "iops": Watched("Iops", "It is left unchanged. Declare it as `storage.iops`", (3000, 12000)),
    "throughput": Watched("StorageThroughput", "It is left unchanged. Declare it as `storage.throughput`", (125, 500)),
    "insights_retention_days": Watched("PerformanceInsightsRetentionPeriod", _MODIFY, (7,)),
    "monitoring_role": Watched("MonitoringRoleArn", _MODIFY),
}
"""Settings of DBInstance that manifests do not know, or do not declare.

IOPS and throughput are what gp3 storage has by itself, below and from 400 GB (RDS User Guide, "General Purpose SSD").
"""
