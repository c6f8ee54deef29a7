"""What RDS offers: engine versions and orderable classes of PostgreSQL.  A small, fixed part of AWS's catalogue."""

from __future__ import annotations

from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service

_VERSIONS = ("13.22", "14.19", "15.13", "15.14", "16.8", "16.9", "16.10", "17.5", "17.6")
_CLASSES = (
    "db.t3.micro",
    "db.t3.small",
    "db.t3.medium",
    "db.t4g.micro",
    "db.t4g.small",
    "db.t4g.medium",
    "db.m7g.large",
)
_STORAGE = ("gp2", "gp3")


class Catalogue(Service):
    """Read-only lists."""

    service = "rds"

    def describe_db_engine_versions(self, params: Params, context: Context) -> Params:
        """Of PostgreSQL; a major version names all of its minors."""
        if params.get("Engine", "postgres") != "postgres":
            return {"DBEngineVersions": []}
        wanted = params.get("EngineVersion", "")
        found = [each for each in _VERSIONS if wanted in ("", each) or each.startswith(f"{wanted}.")]
        if params.get("DefaultOnly"):
            found = found[-1:]
        return {"DBEngineVersions": [_engine_version(each) for each in found]}

    def describe_orderable_db_instance_options(self, params: Params, context: Context) -> Params:
        """Of PostgreSQL, by version and class."""
        if params["Engine"] != "postgres":
            return {"OrderableDBInstanceOptions": []}
        version, size = params.get("EngineVersion", ""), params.get("DBInstanceClass")
        versions = [each for each in _VERSIONS if version in ("", each) or each.startswith(f"{version}.")]
        sizes = [each for each in _CLASSES if size in (None, each)]
        zones = [{"Name": f"{context.region}{letter}"} for letter in "abc"]
        return {
            "OrderableDBInstanceOptions": [
                {
                    "Engine": "postgres",
                    "EngineVersion": each,
                    "DBInstanceClass": kind,
                    "LicenseModel": "postgresql-license",
                    "AvailabilityZones": zones,
                    "MultiAZCapable": True,
                    "Vpc": True,
                    "SupportsStorageEncryption": True,
                    "StorageType": storage,
                    "MinStorageSize": 20,
                    "MaxStorageSize": 16384,
                }
                for each in versions
                for kind in sizes
                for storage in _STORAGE
            ]
        }

    def describe_pending_maintenance_actions(self, params: Params, context: Context) -> Params:
        """AWS has nothing in store for anyone here."""
        return {"PendingMaintenanceActions": []}


def _engine_version(version: str) -> Params:
    major = version.partition(".")[0]
    return {
        "Engine": "postgres",
        "EngineVersion": version,
        "MajorEngineVersion": major,
        "DBParameterGroupFamily": f"postgres{major}",
        "DBEngineDescription": "PostgreSQL",
        "DBEngineVersionDescription": f"PostgreSQL {version}-R1",
        "ValidUpgradeTarget": [
            {"Engine": "postgres", "EngineVersion": each, "IsMajorVersionUpgrade": each.partition(".")[0] != major}
            for each in _VERSIONS
            if tuple(map(int, each.split("."))) > tuple(map(int, version.split(".")))
        ],
        "ExportableLogTypes": ["postgresql", "upgrade"],
        "SupportsLogExportsToCloudwatchLogs": True,
        "Status": "available",
    }
