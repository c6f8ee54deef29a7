"""What RDS calls each field of a database: where it stands in an answer, and in the calls that make and change it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

GONE = ("DBInstanceNotFound", "DBInstanceNotFoundFault")
BUSY = ("InvalidDBInstanceState", "InvalidDBInstanceStateFault")
TAG_APPLY = "orchestrator:apply"
TAG_CREDENTIALS = "orchestrator:credentials"


class Setting(Struct, frozen=True):
    """One field: JMESPath into a DBInstance, the member of CreateDBInstance, the member of ModifyDBInstance."""

    live: str
    create: str
    modify: str | None


def _same(member: str) -> Setting:
    return Setting(member, member, member)


def _fixed(member: str, create: str | None = None) -> Setting:
    return Setting(member, create or member, None)


SETTINGS: Mapping[str, Setting] = {
    "engine": _fixed("Engine"),
    "version": _same("EngineVersion"),
    "instance_class": _same("DBInstanceClass"),
    "storage_type": _same("StorageType"),
    "storage_gb": _same("AllocatedStorage"),
    "storage_max_gb": _same("MaxAllocatedStorage"),
    "iops": _same("Iops"),
    "throughput": _same("StorageThroughput"),
    "encrypted": _fixed("StorageEncrypted"),
    "kms_key": _fixed("KmsKeyId"),
    "database": _fixed("DBName"),
    "username": _fixed("MasterUsername"),
    "port": Setting("Endpoint.Port", "Port", "DBPortNumber"),
    "subnet_group": _fixed("DBSubnetGroup.DBSubnetGroupName", "DBSubnetGroupName"),
    "security_groups": Setting("VpcSecurityGroups[].VpcSecurityGroupId", "VpcSecurityGroupIds", "VpcSecurityGroupIds"),
    "parameter_group": Setting(
        "DBParameterGroups[0].DBParameterGroupName", "DBParameterGroupName", "DBParameterGroupName"
    ),
    "availability_zone": _fixed("AvailabilityZone"),
    "multi_az": _same("MultiAZ"),
    "public": _same("PubliclyAccessible"),
    "network_type": _same("NetworkType"),
    "ca_certificate": _same("CACertificateIdentifier"),
    "backup_retention_days": _same("BackupRetentionPeriod"),
    "backup_window": _same("PreferredBackupWindow"),
    "maintenance_window": _same("PreferredMaintenanceWindow"),
    "copy_tags_to_snapshots": _same("CopyTagsToSnapshot"),
    "minor_upgrades": _same("AutoMinorVersionUpgrade"),
    "lifecycle_support": _same("EngineLifecycleSupport"),
    "deletion_protection": _same("DeletionProtection"),
    "iam_authentication": Setting(
        "IAMDatabaseAuthenticationEnabled", "EnableIAMDatabaseAuthentication", "EnableIAMDatabaseAuthentication"
    ),
    "logs": Setting("EnabledCloudwatchLogsExports || `[]`", "EnableCloudwatchLogsExports", None),
    "insights": Setting("PerformanceInsightsEnabled", "EnablePerformanceInsights", "EnablePerformanceInsights"),
    "insights_retention_days": _same("PerformanceInsightsRetentionPeriod"),
    "monitoring_seconds": _same("MonitoringInterval"),
    "monitoring_role": _same("MonitoringRoleArn"),
}

STORAGE = frozenset({"storage_type", "storage_gb", "storage_max_gb", "iops", "throughput"})
OUTAGE = frozenset({"instance_class", "version", "port"})
"""What restarts the instance."""

OBEDIENT = frozenset({"storage_type", "storage_gb", "iops", "throughput", "multi_az", "backup_retention_days"})
"""What waits for the maintenance window unless told otherwise, without causing an outage; the rest never waits."""

PENDING = {setting.modify: key for key, setting in SETTINGS.items() if setting.modify} | {
    "Port": "port",
    "IAMDatabaseAuthenticationEnabled": "iam_authentication",
}
"""Member of PendingModifiedValues -> field."""
