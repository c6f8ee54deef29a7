"""List engine versions and orderable classes of PostgreSQL: a small, fixed part of what RDS offers."""

from __future__ import annotations

from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, Service

_ENGINE_VERSIONS = ("13.22", "14.19", "15.13", "15.14", "16.8", "16.9", "16.10", "17.5", "17.6")
_INSTANCE_CLASSES = (
    "db.t3.micro",
    "db.t3.small",
    "db.t3.medium",
    "db.t4g.micro",
    "db.t4g.small",
    "db.t4g.medium",
    "db.m7g.large",
)
_STORAGE_TYPES = ("gp2", "gp3")


class Catalogue(Service):
    """Read-only lists."""

    service = "rds"

    def describe_db_engine_versions(self, params: Params, context: CallContext) -> Params:
        """Return PostgreSQL versions; a major version selects all of its minor versions."""
        if params.get("Engine", "postgres") != "postgres":
            return {"DBEngineVersions": []}
        version_prefix = params.get("EngineVersion", "")
        versions = [
            version
            for version in _ENGINE_VERSIONS
            if version_prefix in ("", version) or version.startswith(f"{version_prefix}.")
        ]
        if params.get("DefaultOnly"):
            versions = versions[-1:]
        return {"DBEngineVersions": [_engine_version_shape(version) for version in versions]}

    def describe_orderable_db_instance_options(self, params: Params, context: CallContext) -> Params:
        """Return the PostgreSQL options, by version and class."""
        if params["Engine"] != "postgres":
            return {"OrderableDBInstanceOptions": []}
        version, requested_class = params.get("EngineVersion", ""), params.get("DBInstanceClass")
        versions = [
            candidate
            for candidate in _ENGINE_VERSIONS
            if version in ("", candidate) or candidate.startswith(f"{version}.")
        ]
        instance_classes = [candidate for candidate in _INSTANCE_CLASSES if requested_class in (None, candidate)]
        zones = [{"Name": f"{context.region}{letter}"} for letter in "abc"]
        return {
            "OrderableDBInstanceOptions": [
                {
                    "Engine": "postgres",
                    "EngineVersion": candidate,
                    "DBInstanceClass": instance_class,
                    "LicenseModel": "postgresql-license",
                    "AvailabilityZones": zones,
                    "MultiAZCapable": True,
                    "Vpc": True,
                    "SupportsStorageEncryption": True,
                    "StorageType": storage,
                    "MinStorageSize": 20,
                    "MaxStorageSize": 16384,
                }
                for candidate in versions
                for instance_class in instance_classes
                for storage in _STORAGE_TYPES
            ]
        }

    def describe_pending_maintenance_actions(self, params: Params, context: CallContext) -> Params:
        """Return no action: nothing is ever pending here."""
        return {"PendingMaintenanceActions": []}


def _engine_version_shape(version: str) -> Params:
    major = version.partition(".")[0]
    return {
        "Engine": "postgres",
        "EngineVersion": version,
        "MajorEngineVersion": major,
        "DBParameterGroupFamily": f"postgres{major}",
        "DBEngineDescription": "PostgreSQL",
        "DBEngineVersionDescription": f"PostgreSQL {version}-R1",
        "ValidUpgradeTarget": [
            {"Engine": "postgres", "EngineVersion": target, "IsMajorVersionUpgrade": target.partition(".")[0] != major}
            for target in _ENGINE_VERSIONS
            if tuple(map(int, target.split("."))) > tuple(map(int, version.split(".")))
        ],
        "ExportableLogTypes": ["postgresql", "upgrade"],
        "SupportsLogExportsToCloudwatchLogs": True,
        "Status": "available",
    }
