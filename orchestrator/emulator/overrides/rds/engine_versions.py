"""List engine versions and orderable classes of PostgreSQL: a small, fixed part of what RDS offers."""

from __future__ import annotations

from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, Service

_MINOR_VERSIONS = {13: range(15, 23), 14: range(12, 20), 15: range(7, 15), 16: range(3, 11), 17: range(1, 7)}
_ENGINE_VERSIONS = tuple(f"{major}.{minor}" for major, minors in _MINOR_VERSIONS.items() for minor in minors)
_SIZES_BY_FAMILY = {
    ("t3", "t4g"): ("micro", "small", "medium", "large", "xlarge", "2xlarge"),
    ("m5", "m6g", "m6i", "m7g", "m7i", "m8g", "r5", "r6g", "r6i", "r7g", "r7i", "r8g"): (
        "large",
        "xlarge",
        "2xlarge",
        "4xlarge",
        "8xlarge",
        "12xlarge",
        "16xlarge",
    ),
}
_INSTANCE_CLASSES = tuple(
    f"db.{family}.{size}" for families, sizes in _SIZES_BY_FAMILY.items() for family in families for size in sizes
)
_STORAGE_TYPES = ("gp2", "gp3", "io1", "io2")


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
