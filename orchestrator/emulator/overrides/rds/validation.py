"""Validate DB instance parameters and fill in defaults, as RDS does. Pure.

API: RDS CreateDBInstance, ModifyDBInstance.
"""

from __future__ import annotations

import re
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params

# Applied in the next maintenance window unless ApplyImmediately; by API parameter, the member of PendingModifiedValues.
DEFERRED_PARAMETERS = {
    "DBInstanceClass": "DBInstanceClass",
    "EngineVersion": "EngineVersion",
    "MultiAZ": "MultiAZ",
    "AllocatedStorage": "AllocatedStorage",
    "StorageType": "StorageType",
    "Iops": "Iops",
    "StorageThroughput": "StorageThroughput",
    "LicenseModel": "LicenseModel",
    "DBPortNumber": "Port",
    "DBSubnetGroupName": "DBSubnetGroupName",
    "CACertificateIdentifier": "CACertificateIdentifier",
}
# Parameters that read back under another name.
RENAMED_PARAMETERS = {
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
    "EnableCloudwatchLogsExports": "EnabledCloudwatchLogsExports",
}
DIRECT_PARAMETERS = (
    "DBInstanceClass", "Engine", "MasterUsername", "DBName", "AllocatedStorage", "PreferredBackupWindow",
    "BackupRetentionPeriod", "PreferredMaintenanceWindow", "MultiAZ", "EngineVersion", "AutoMinorVersionUpgrade",
    "LicenseModel", "Iops", "StorageThroughput", "PubliclyAccessible", "StorageType", "StorageEncrypted", "KmsKeyId",
    "CopyTagsToSnapshot", "MonitoringInterval", "DeletionProtection", "MaxAllocatedStorage", "NetworkType",
    "BackupTarget", "CACertificateIdentifier", "DedicatedLogVolume", "EngineLifecycleSupport", "DatabaseInsightsMode",
    "MonitoringRoleArn", "PerformanceInsightsRetentionPeriod", "PerformanceInsightsKMSKeyId",
)  # fmt: skip
_DEFAULTS: Params = {
    "StorageType": "gp3",
    "BackupRetentionPeriod": 1,
    "PreferredBackupWindow": "23:10-23:40",
    "PreferredMaintenanceWindow": "tue:02:15-tue:02:45",
    "MultiAZ": False,
    "AutoMinorVersionUpgrade": True,
    "PubliclyAccessible": False,
    "StorageEncrypted": False,
    "CopyTagsToSnapshot": False,
    "MonitoringInterval": 0,
    "DeletionProtection": False,
    "NetworkType": "IPV4",
    "BackupTarget": "region",
    "CACertificateIdentifier": "rds-ca-rsa2048-g1",
    "DedicatedLogVolume": False,
    "EngineLifecycleSupport": "open-source-rds-extended-support",
    "IAMDatabaseAuthenticationEnabled": False,
    "PerformanceInsightsEnabled": False,
    "DatabaseInsightsMode": "standard",
}
_DEFAULT_LICENSES = {
    "postgres": "postgresql-license",
    "mysql": "general-public-license",
    "mariadb": "general-public-license",
}
_DEFAULT_PORTS = {"postgres": 5432, "mysql": 3306, "mariadb": 3306}
# The minor version RDS picks for a major one.
_DEFAULT_MINOR_VERSIONS = {"13": "13.22", "14": "14.19", "15": "15.14", "16": "16.10", "17": "17.6"}
_INSTANCE_CLASS_PATTERN = re.compile(r"db\.[a-z0-9]+\.[a-z0-9]+")
_IDENTIFIER_PATTERN = re.compile(r"[a-z](?:[a-z0-9]|-(?!-)){0,61}[a-z0-9]|[a-z]")
_PASSWORD_PATTERN = re.compile(r"[!#-.0-?A-~]{8,128}")  # printable ASCII without space, / @ and "
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_INSIGHTS_RETENTION_DAYS = 7
_DAY_MINUTES, _WEEK_MINUTES = 24 * 60, 7 * 24 * 60
_MIN_GP3_IOPS_STORAGE_GB = 400
_PROVISIONED_IOPS_TYPES = ("io1", "io2")


def invalid_value(message: str) -> AwsError:
    """Return the error InvalidParameterValue."""
    return AwsError("InvalidParameterValue", message, 400)


def invalid_combination(message: str) -> AwsError:
    """Return the error InvalidParameterCombination."""
    return AwsError("InvalidParameterCombination", message, 400)


def normalise_identifier(identifier_text: str) -> str:
    """Return an identifier as RDS stores it, in lower case. Raises AwsError InvalidParameterValue."""
    name = identifier_text.lower()
    if not _IDENTIFIER_PATTERN.fullmatch(name):
        raise invalid_value(f"The parameter DBInstanceIdentifier is not a valid identifier: {identifier_text}.")
    return name


def extract_attributes(params: Params) -> Params:
    """Return the DBInstance members that parameters set directly."""
    attributes = {name: params[name] for name in DIRECT_PARAMETERS if name in params}
    return {**attributes, **{RENAMED_PARAMETERS[name]: params[name] for name in RENAMED_PARAMETERS if name in params}}


def build_attributes(params: Params, account: str, region: str) -> Params:
    """Return the attributes of a new instance with defaults filled in. Raises AwsError for what RDS refuses."""
    attributes = {**_DEFAULTS, **extract_attributes(params)}
    engine = str(attributes["Engine"])
    attributes["LicenseModel"] = attributes.get("LicenseModel", _DEFAULT_LICENSES.get(engine, "general-public-license"))
    attributes["EngineVersion"] = resolve_version(
        str(attributes.get("EngineVersion", "17" if engine == "postgres" else "8.0.43"))
    )
    attributes["DbInstancePort"] = 0
    attributes["Port"] = params.get("Port", _DEFAULT_PORTS.get(engine, 3306))
    if "StorageType" not in params and "Iops" in params:
        attributes["StorageType"] = "io1"
    if attributes["StorageEncrypted"] and "KmsKeyId" not in params:
        attributes["KmsKeyId"] = f"arn:aws:kms:{region}:{account}:key/7f1e2d3c-4b5a-4c6d-8e9f-0a1b2c3d4e5f"
    if "AllocatedStorage" not in attributes:
        raise invalid_value("Invalid storage size for engine name and storage type: AllocatedStorage is required.")
    apply_insights_retention(attributes)
    check_attributes(attributes)
    return attributes


def apply_insights_retention(attributes: Params) -> None:
    """Fill in the retention of Performance Insights: 7 days by default, none while it is off."""
    if attributes["PerformanceInsightsEnabled"]:
        attributes.setdefault("PerformanceInsightsRetentionPeriod", _INSIGHTS_RETENTION_DAYS)
    else:
        attributes.pop("PerformanceInsightsRetentionPeriod", None)


def resolve_version(requested_version: str) -> str:
    """Return the full version for a major one; a full version unchanged."""
    return _DEFAULT_MINOR_VERSIONS.get(requested_version, requested_version)


def check_attributes(attributes: Params) -> None:
    """Raise AwsError for attributes that RDS does not allow together."""
    if not _INSTANCE_CLASS_PATTERN.fullmatch(attributes["DBInstanceClass"]):
        raise invalid_value(f"Invalid DB Instance class: {attributes['DBInstanceClass']}")
    has_iops = "Iops" in attributes or "StorageThroughput" in attributes
    if attributes["StorageType"] == "gp3" and has_iops and attributes["AllocatedStorage"] < _MIN_GP3_IOPS_STORAGE_GB:
        raise invalid_combination(
            f"You can't specify IOPS or storage throughput for engine {attributes['Engine']}"
            " and a storage size less than 400."
        )
    if attributes["StorageType"] in _PROVISIONED_IOPS_TYPES and not has_iops:
        raise invalid_combination(f"You must specify Iops for storage type {attributes['StorageType']}.")
    if attributes["MonitoringInterval"] and "MonitoringRoleArn" not in attributes:
        raise invalid_combination(
            "A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0."
        )
    if attributes["BackupRetentionPeriod"] and windows_overlap(
        attributes["PreferredBackupWindow"], attributes["PreferredMaintenanceWindow"]
    ):
        raise invalid_value("The backup window and maintenance window must not overlap.")


def check_password(password: str | None) -> None:
    """Raise AwsError InvalidParameterValue for a password that RDS does not accept."""
    if password is not None and not _PASSWORD_PATTERN.fullmatch(password):
        raise invalid_value(
            "The parameter MasterUserPassword is not a valid password. It must be 8 to 128 printable ASCII characters"
            " besides '/', '@', '\"', ' '."
        )


def windows_overlap(backup: str, maintenance: str) -> bool:
    """Return whether the daily backup window (hh:mm-hh:mm) ever overlaps the weekly maintenance window.

    Raises AwsError InvalidParameterValue for an invalid window.
    """
    try:
        backup_start, backup_end = (_parse_time_minutes(part) for part in backup.split("-"))
        maintenance_start, maintenance_end = (_parse_week_time_minutes(part) for part in maintenance.lower().split("-"))
    except (ValueError, IndexError) as error:
        raise invalid_value(f"Invalid window: {backup}, {maintenance}.") from error
    backup_length, maintenance_length = (
        (backup_end - backup_start) % _DAY_MINUTES,
        (maintenance_end - maintenance_start) % _WEEK_MINUTES,
    )
    if backup_length < 30 or maintenance_length < 30:
        raise invalid_value("The backup and maintenance windows must be at least 30 minutes.")
    backup_starts = (day * _DAY_MINUTES + backup_start for day in range(7))
    return any(
        (daily_start - maintenance_start) % _WEEK_MINUTES < maintenance_length
        or (maintenance_start - daily_start) % _WEEK_MINUTES < backup_length
        for daily_start in backup_starts
    )


def _parse_time_minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _parse_week_time_minutes(text: str) -> int:
    day, time_text = text.split(":", 1)
    return _WEEKDAYS.index(day) * _DAY_MINUTES + _parse_time_minutes(time_text)


def resolve_storage(current: int, requested: int) -> int:
    """Return the storage in GiB after a change: growth is at least 10 %. Raises AwsError if it shrinks."""
    if requested < current:
        raise invalid_combination(
            f"Requested storage size ({requested}) cannot be less than the current storage size ({current})."
        )
    return current if requested == current else max(requested, -(-current * 11 // 10))


def collect_withdrawn(params: Params, attributes: Params) -> set[str]:
    """Return the members that a modification sets to their present value: with ApplyImmediately it reverts them.

    Source: RDS User Guide, "Using the schedule modifications setting".
    """
    pending = collect_pending(params, attributes)
    members = {DEFERRED_PARAMETERS[name] for name in params if name in DEFERRED_PARAMETERS}
    members |= {"BackupRetentionPeriod"} & params.keys()
    return members - pending.keys()


def check_version_change(current: str, requested: str) -> None:
    """Raise AwsError InvalidParameterCombination for a downgrade, in the words of RDS."""
    if _version_key(requested) < _version_key(current):
        raise invalid_combination(f"Cannot upgrade postgres from {current} to {requested}")


def _version_key(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def collect_pending(params: Params, attributes: Params) -> Params:
    """Return the changes that a modification defers, by member of PendingModifiedValues, without no-ops."""
    pending: Params = {}
    for parameter, member in DEFERRED_PARAMETERS.items():
        if parameter not in params:
            continue
        value: Any = params[parameter]
        if parameter == "AllocatedStorage":
            value = resolve_storage(attributes["AllocatedStorage"], value)
        elif parameter == "EngineVersion":
            value = resolve_version(value)
        if value != attributes.get(member):
            pending[member] = value
    retention = params.get("BackupRetentionPeriod")
    if retention is not None and bool(retention) != bool(attributes["BackupRetentionPeriod"]):
        pending["BackupRetentionPeriod"] = retention
    return pending
