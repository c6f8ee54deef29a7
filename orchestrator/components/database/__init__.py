"""Expand a Database into its security group, subnet group, RDS instance and alarms.  Pure.

The Secret that refers to the database generates its password; without one, RDS manages the password itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator.components import Stack
from orchestrator.components.database.alarms import build_alarms
from orchestrator.components.database.checks import check, describe_connections
from orchestrator.ownership_tags import build_ownership_tags
from orchestrator.secret_rotation import find_rotation
from orchestrator.values import Ref, TemplateString, Value, WriteOnly
from orchestrator.vocabulary import Component, Resource, Scope

__all__ = ["access", "check", "expand", "exports", "notes"]

EXTENDED_SUPPORT = "open-source-rds-extended-support"
MIN_TUNABLE_GP3_GB = 400
GP3_BASELINE = {"iops": 12000, "throughput": 500}
"""What PostgreSQL gets from gp3 of 400 GB and more (RDS User Guide, "General Purpose SSD storage")."""
PASSWORD_EXPORT = "password"  # noqa: S105 - the name of an export


def exports(component: Component, scope: Scope) -> Mapping[str, Value]:
    """Return its address, user and connection strings; only Secrets may use values that contain the password."""
    spec = component.spec
    host, password = Ref(f"rds_instance.{component.name}", "host"), Ref(component.aws_handle, PASSWORD_EXPORT)
    user, port, database = spec["username"], str(spec["port"]), spec["database"]
    pool = spec["pool"]
    connection_target = f";Port={port};Database={database};Username={user};Password="
    # Npgsql and libpq (psycopg, SQLAlchemy, node-postgres) each name the same two settings in their own way.
    ca_file = spec.get("caFile")
    tls = f"SSL Mode=VerifyFull;Root Certificate={ca_file}" if ca_file else "SSL Mode=Require"
    tls_query = f"sslmode=verify-full&sslrootcert={ca_file}" if ca_file else "sslmode=require"
    pool_options = f";{tls};Minimum Pool Size={pool['min']};Maximum Pool Size={pool['max']}"
    return {
        "name": instance_name(component, scope),
        "host": host,
        "port": spec["port"],
        "database": database,
        "username": user,
        "password": password,
        "connectionString": TemplateString(("Host=", host, connection_target, password, pool_options)),
        "url": TemplateString((f"postgresql://{user}:", password, "@", host, f":{port}/{database}?{tls_query}")),
    }


def instance_name(component: Component, scope: Scope) -> str:
    """Return the identifier of the instance in RDS."""
    return str(component.spec.get("identifier") or scope.name_of(component))


def access(component: Component, scope: Scope) -> Iterator[Mapping[str, Any]]:
    """Yield the permission to connect as its user with IAM authentication; without it, network access is enough."""
    if component.spec["iamAuthentication"]:
        user = f"arn:aws:rds-db:{scope.region}:{scope.account}:dbuser:*/{component.spec['username']}"
        yield {"Effect": "Allow", "Action": ["rds-db:connect"], "Resource": [user]}


def notes(component: Component, stack: Stack) -> Iterator[str]:
    """Yield notes about settings that are valid but rarely a good idea, and the connections that the services open."""
    spec, handle = component.spec, component.handle
    if spec["public"]:
        yield f"{handle} has a public address: anyone in the `allowFrom` ranges can try passwords."
    if not spec["backups"]["retentionDays"]:
        yield f"{handle} has no automated backups: you cannot restore it to a point in time."
    if spec["extendedSupport"]:
        yield (
            f"{handle} stays on its PostgreSQL version after standard support ends, which costs about 0.10 USD per "
            "vCPU and hour."
        )
    if str(spec.get("parameters", {}).get("rds.force_ssl", "1")) in {"0", "False"}:
        yield f"{handle} accepts connections without TLS (`rds.force_ssl`)."
    connections = describe_connections(component, stack.components)
    if connections:
        yield connections


def expand(component: Component, stack: Stack) -> list[Resource]:
    """Return its resources, dependencies first."""
    resources = [_build_resource(component, stack, "ec2_security_group", _security_group_spec(component, stack))]
    if "subnetGroup" not in component.spec:
        subnet_group_spec = {"description": _describe(component, stack), "subnets": Ref("ec2_vpc.network", "subnets")}
        resources.append(_build_resource(component, stack, "rds_subnet_group", subnet_group_spec))
    if component.spec.get("parameters"):
        resources.append(_build_parameter_group(component, stack))
    return [*resources, _build_instance(component, stack), *build_alarms(component, stack)]


def _build_resource(
    component: Component, stack: Stack, resource_type: str, spec: Mapping[str, Value], *, physical: str | None = None
) -> Resource:
    physical_name = physical or stack.scope.name_of(component)
    tagged_spec = {"tags": build_ownership_tags(stack.scope, component.handle), **spec}
    where, adopt = component.where, component.adopt
    return Resource(resource_type, component.name, physical_name, tagged_spec, component.handle, where, adopt=adopt)


def _describe(component: Component, stack: Stack) -> str:
    return f"{component.aws_handle} of {stack.scope.owner}"


def _security_group_spec(component: Component, stack: Stack) -> Mapping[str, Value]:
    groups = [grant.data["security_group"] for grant in stack.grants_for(component, "connect")]
    sources = [*groups, *component.spec["allowFrom"]]
    rules = [{"protocol": "tcp", "port": str(component.spec["port"]), "source": source} for source in sources]
    return {"description": _describe(component, stack), "vpc": Ref("ec2_vpc.network", "id"), "ingress": rules}


def _build_parameter_group(component: Component, stack: Stack) -> Resource:
    spec = {
        "family": _parameter_group_family(component),
        "description": _describe(component, stack),
        "parameters": component.spec["parameters"],
    }
    return _build_resource(
        component, stack, "rds_parameter_group", spec, physical=_parameter_group_name(component, stack)
    )


def _parameter_group_family(component: Component) -> str:
    major = str(component.spec["version"]).partition(".")[0]
    return f"postgres{major}"


def _parameter_group_name(component: Component, stack: Stack) -> str:
    """Return the final name of the parameter group; a pending upgrade is recognised by it."""
    own_name = f"{stack.scope.name_of(component)}-{_parameter_group_family(component)}"
    return own_name if component.spec.get("parameters") else f"default.{_parameter_group_family(component)}"


def _build_instance(component: Component, stack: Stack) -> Resource:
    deletable = component.spec["deletionPolicy"] == "delete"
    spec = {
        **_instance_spec(component, stack),
        "tags": build_ownership_tags(stack.scope, component.handle, deletable=deletable),
    }
    prerequisites = {f"rds_parameter_group.{component.name}"} if component.spec.get("parameters") else set()
    physical = instance_name(component, stack.scope)
    instance = _build_resource(component, stack, "rds_instance", spec, physical=physical)
    return replace(instance, depends_on=frozenset(prerequisites))


def _instance_spec(component: Component, stack: Stack) -> Mapping[str, Value]:
    spec, name = component.spec, component.name
    return {
        "engine": spec["engine"],
        "version": spec["version"],
        "instance_class": spec["instanceClass"],
        **_storage_spec(spec["storage"]),
        "database": spec["database"],
        "username": spec["username"],
        "port": spec["port"],
        "subnet_group": spec.get("subnetGroup") or Ref(f"rds_subnet_group.{name}", "name"),
        "security_groups": [Ref(f"ec2_security_group.{name}", "id"), *spec["securityGroups"]],
        "parameter_group": _parameter_group_name(component, stack),
        "multi_az": spec["multiAz"],
        "public": spec["public"],
        "network_type": spec["networkType"],
        "backup_retention_days": spec["backups"]["retentionDays"],
        "backup_window": spec["backups"]["window"],
        "copy_tags_to_snapshots": spec["backups"]["copyTags"],
        "maintenance_window": spec["maintenanceWindow"],
        "apply": spec["apply"],
        "minor_upgrades": spec["minorUpgrades"],
        "lifecycle_support": EXTENDED_SUPPORT if spec["extendedSupport"] else f"{EXTENDED_SUPPORT}-disabled",
        "deletion_protection": spec["deletionProtection"],
        "iam_authentication": spec["iamAuthentication"],
        "logs": spec["logs"],
        "credentials": _credentials_spec(component, stack),
        **_drill_spec(spec["backups"]),
        **_monitoring_spec(spec),
        **_without_none(
            {"availability_zone": spec.get("availabilityZone"), "ca_certificate": spec.get("caCertificate")}
        ),
    }


def _storage_spec(storage: Mapping[str, Any]) -> Mapping[str, Value]:
    has_baseline = storage["type"] == "gp3" and storage["sizeGb"] >= MIN_TUNABLE_GP3_GB
    defaults = GP3_BASELINE if has_baseline else {}
    tuning = {key: storage.get(key, defaults.get(key)) for key in ("iops", "throughput")}
    return {
        "storage_type": storage["type"],
        "storage_gb": storage["sizeGb"],
        "storage_max_gb": storage.get("maxSizeGb"),
        "encrypted": storage["encrypted"],
        **_without_none({**tuning, "kms_key": storage.get("kmsKey")}),
    }


def _drill_spec(backups: Mapping[str, Any]) -> Mapping[str, Value]:
    days = backups.get("drillEveryDays")
    return {} if days is None else {"drill_every_days": WriteOnly(days)}


def _monitoring_spec(spec: Mapping[str, Any]) -> Mapping[str, Value]:
    insights, monitoring = spec["performanceInsights"], spec["monitoring"]
    days = insights["retentionDays"] if insights["enabled"] else None
    return {
        "insights": insights["enabled"],
        "monitoring_seconds": monitoring["intervalSeconds"],
        **_without_none({"insights_retention_days": days, "monitoring_role": monitoring.get("role")}),
    }


def _credentials_spec(component: Component, stack: Stack) -> Mapping[str, Value]:
    """Return where the password is: managed by RDS, or in a Secret, of which a rollback restores an earlier version."""
    credential_grants = stack.grants_for(component, "credentials")
    if not credential_grants:
        return {"managed": True}
    grant = credential_grants[0]
    version = stack.artefacts.secrets.get(grant.requester)
    if version is not None:
        return {"managed": False, **grant.data, "rotation": find_rotation(version), "version": WriteOnly(version)}
    return {"managed": False, **grant.data, "rotation": Ref(grant.data["secret"].address, "rotation")}


def _without_none(values: Mapping[str, Value]) -> Mapping[str, Value]:
    return {key: value for key, value in values.items() if value is not None}
