"""What RDS refuses and what it fills in, for DB instances.  Pure; from the RDS API reference of ModifyDBInstance."""

from __future__ import annotations

import re
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params

# Applied in the next maintenance window unless ApplyImmediately; by API parameter, the member of PendingModifiedValues.
DEFERRED = {
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
RENAMED = {
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
    "EnablePerformanceInsights": "PerformanceInsightsEnabled",
    "EnableCloudwatchLogsExports": "EnabledCloudwatchLogsExports",
}
PLAIN = (
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
_LICENSES = {"postgres": "postgresql-license", "mysql": "general-public-license", "mariadb": "general-public-license"}
_PORTS = {"postgres": 5432, "mysql": 3306, "mariadb": 3306}
# The minor version RDS picks for a major one.
_MINORS = {"13": "13.22", "14": "14.19", "15": "15.14", "16": "16.10", "17": "17.6"}
_CLASS = re.compile(r"db\.[a-z0-9]+\.[a-z0-9]+")
_IDENTIFIER = re.compile(r"[a-z](?:[a-z0-9]|-(?!-)){0,61}[a-z0-9]|[a-z]")
_PASSWORD = re.compile(r"[!#-.0-?A-~]{8,128}")  # printable ASCII without space, / @ and "
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_INSIGHTS_DAYS = 7
_DAY, _WEEK = 24 * 60, 7 * 24 * 60
_GP3_WITH_IOPS = 400
_NEEDS_IOPS = ("io1", "io2")


def invalid(message: str) -> AwsError:
    """InvalidParameterValue."""
    return AwsError("InvalidParameterValue", message, 400)


def conflict(message: str) -> AwsError:
    """InvalidParameterCombination."""
    return AwsError("InvalidParameterCombination", message, 400)


def identifier(given: str) -> str:
    """An identifier as RDS stores it, in lower case.  Raises InvalidParameterValue."""
    name = given.lower()
    if not _IDENTIFIER.fullmatch(name):
        raise invalid(f"The parameter DBInstanceIdentifier is not a valid identifier: {given}.")
    return name


def facts_of(params: Params) -> Params:
    """The members of a DBInstance that parameters set directly."""
    facts = {name: params[name] for name in PLAIN if name in params}
    return {**facts, **{RENAMED[name]: params[name] for name in RENAMED if name in params}}


def created(params: Params, account: str, region: str) -> Params:
    """The facts of a new instance, defaults filled.  Raises AwsError for what RDS refuses."""
    facts = {**_DEFAULTS, **facts_of(params)}
    engine = str(facts["Engine"])
    facts["LicenseModel"] = facts.get("LicenseModel", _LICENSES.get(engine, "general-public-license"))
    facts["EngineVersion"] = version(str(facts.get("EngineVersion", "17" if engine == "postgres" else "8.0.43")))
    facts["DbInstancePort"] = 0
    facts["Port"] = params.get("Port", _PORTS.get(engine, 3306))
    if "StorageType" not in params and "Iops" in params:
        facts["StorageType"] = "io1"
    if facts["StorageEncrypted"] and "KmsKeyId" not in params:
        facts["KmsKeyId"] = f"arn:aws:kms:{region}:{account}:key/7f1e2d3c-4b5a-4c6d-8e9f-0a1b2c3d4e5f"
    if "AllocatedStorage" not in facts:
        raise invalid("Invalid storage size for engine name and storage type: AllocatedStorage is required.")
    observe(facts)
    check(facts)
    return facts


def observe(facts: Params) -> None:
    """Fill in how long Performance Insights keeps what it sees: 7 days unless said; nothing once it is off."""
    if facts["PerformanceInsightsEnabled"]:
        facts.setdefault("PerformanceInsightsRetentionPeriod", _INSIGHTS_DAYS)
    else:
        facts.pop("PerformanceInsightsRetentionPeriod", None)


def version(given: str) -> str:
    """The full version for a major one; a full version stays."""
    return _MINORS.get(given, given)


def check(facts: Params) -> None:
    """Raise AwsError for facts RDS does not allow together."""
    if not _CLASS.fullmatch(facts["DBInstanceClass"]):
        raise invalid(f"Invalid DB Instance class: {facts['DBInstanceClass']}")
    iops = "Iops" in facts or "StorageThroughput" in facts
    if facts["StorageType"] == "gp3" and iops and facts["AllocatedStorage"] < _GP3_WITH_IOPS:
        raise conflict(
            f"You can't specify IOPS or storage throughput for engine {facts['Engine']}"
            " and a storage size less than 400."
        )
    if facts["StorageType"] in _NEEDS_IOPS and not iops:
        raise conflict(f"You must specify Iops for storage type {facts['StorageType']}.")
    if facts["MonitoringInterval"] and "MonitoringRoleArn" not in facts:
        raise conflict("A MonitoringRoleARN value is required if you specify a MonitoringInterval value other than 0.")
    if facts["BackupRetentionPeriod"] and overlaps(facts["PreferredBackupWindow"], facts["PreferredMaintenanceWindow"]):
        raise invalid("The backup window and maintenance window must not overlap.")


def check_password(password: str | None) -> None:
    """Raise InvalidParameterValue for a password RDS does not take."""
    if password is not None and not _PASSWORD.fullmatch(password):
        raise invalid(
            "The parameter MasterUserPassword is not a valid password. It must be 8 to 128 printable ASCII characters"
            " besides '/', '@', '\"', ' '."
        )


def overlaps(backup: str, maintenance: str) -> bool:
    """Whether the daily backup window (hh:mm-hh:mm) ever meets the weekly maintenance window.  Raises AwsError."""
    try:
        start, end = (_minutes(part) for part in backup.split("-"))
        begin, finish = (_week_minutes(part) for part in maintenance.lower().split("-"))
    except (ValueError, IndexError) as error:
        raise invalid(f"Invalid window: {backup}, {maintenance}.") from error
    length, span = (end - start) % _DAY, (finish - begin) % _WEEK
    if length < 30 or span < 30:
        raise invalid("The backup and maintenance windows must be at least 30 minutes.")
    starts = (day * _DAY + start for day in range(7))
    return any((each - begin) % _WEEK < span or (begin - each) % _WEEK < length for each in starts)


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _week_minutes(text: str) -> int:
    day, clock = text.split(":", 1)
    return _DAYS.index(day) * _DAY + _minutes(clock)


def grown(current: int, wanted: int) -> int:
    """The storage a change leads to: never smaller, growth below a tenth rounded up to it.  Raises AwsError."""
    if wanted < current:
        raise conflict(f"Requested storage size ({wanted}) cannot be less than the current storage size ({current}).")
    return current if wanted == current else max(wanted, -(-current * 11 // 10))


def pending_of(params: Params, facts: Params) -> Params:
    """The changes a modification defers, by the member of PendingModifiedValues; what is so already is left out."""
    wanted: Params = {}
    for parameter, member in DEFERRED.items():
        if parameter not in params:
            continue
        value: Any = params[parameter]
        if parameter == "AllocatedStorage":
            value = grown(facts["AllocatedStorage"], value)
        elif parameter == "EngineVersion":
            value = version(value)
        if value != facts.get(member):
            wanted[member] = value
    retention = params.get("BackupRetentionPeriod")
    if retention is not None and bool(retention) != bool(facts["BackupRetentionPeriod"]):
        wanted["BackupRetentionPeriod"] = retention
    return wanted
