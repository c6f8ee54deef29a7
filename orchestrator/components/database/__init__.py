"""A PostgreSQL database: its security group, its place in the network, the instance, its alarms.  Pure.

Its password is the business of the Secret that names it; without one RDS makes and keeps a password of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator.components import Stack
from orchestrator.components.database.alarms import alarms
from orchestrator.components.database.checks import check
from orchestrator.ownership_tags import claim
from orchestrator.values import Ref, Text, Value
from orchestrator.vocabulary import Component, Resource, Scope

__all__ = ["access", "check", "expand", "exports", "notes"]

SUPPORT = "open-source-rds-extended-support"
PASSWORD = "password"  # noqa: S105 - the name of an export


def exports(component: Component, scope: Scope) -> Mapping[str, Value]:
    """Where it is and how to get in.  Whatever holds the password may stand in a Secret only."""
    spec = component.spec
    host, password = Ref(f"rds_instance.{component.name}", "host"), Ref(component.handle, PASSWORD)
    user, port, database = spec["username"], str(spec["port"]), spec["database"]
    pool = spec["pool"]
    place = f";Port={port};Database={database};Username={user};Password="
    sizes = f";SSL Mode=Require;Minimum Pool Size={pool['min']};Maximum Pool Size={pool['max']}"
    return {
        "name": f"{scope.prefix}-{component.name}",
        "host": host,
        "port": spec["port"],
        "database": database,
        "username": user,
        "password": password,
        "connectionString": Text(("Host=", host, place, password, sizes)),
        "url": Text((f"postgresql://{user}:", password, "@", host, f":{port}/{database}?sslmode=require")),
    }


def access(component: Component, scope: Scope) -> Iterator[Mapping[str, Any]]:
    """With IAM authentication, the right to get a token for its user; otherwise the network is all there is to it."""
    if component.spec["iamAuthentication"]:
        user = f"arn:aws:rds-db:{scope.region}:{scope.account}:dbuser:*/{component.spec['username']}"
        yield {"Effect": "Allow", "Action": ["rds-db:connect"], "Resource": [user]}


def notes(component: Component, stack: Stack) -> Iterator[str]:
    """Choices that are allowed and seldom wise."""
    spec, handle = component.spec, component.handle
    if spec["public"]:
        yield f"{handle} has a public address; whoever is in its `allowFrom` can try passwords."
    if not spec["backups"]["retentionDays"]:
        yield f"{handle} has no automated backups: there is no way back to a point in time."
    if spec["extendedSupport"]:
        yield f"{handle} stays on its version beyond standard support, at about 0.10 USD an hour and vCPU."
    if str(spec.get("parameters", {}).get("rds.force_ssl", "1")) in {"0", "False"}:
        yield f"{handle} accepts connections without TLS (`rds.force_ssl`)."


def expand(component: Component, stack: Stack) -> list[Resource]:
    """Its resources, what others need first."""
    resources = [_make(component, stack, "ec2_security_group", _firewall(component, stack))]
    if "subnetGroup" not in component.spec:
        place = {"description": _about(component, stack), "subnets": Ref("ec2_vpc.network", "subnets")}
        resources.append(_make(component, stack, "rds_subnet_group", place))
    if component.spec.get("parameters"):
        resources.append(_parameters(component, stack))
    return [*resources, _instance(component, stack), *alarms(component, stack)]


def _make(
    component: Component, stack: Stack, kind: str, spec: Mapping[str, Value], *, physical: str | None = None
) -> Resource:
    called = physical or f"{stack.scope.prefix}-{component.name}"
    marked = {"tags": claim(stack.scope, component.handle), **spec}
    where, adopt = component.where, component.adopt
    return Resource(kind, component.name, called, marked, component.handle, where, adopt=adopt)


def _about(component: Component, stack: Stack) -> str:
    return f"{component.handle} of {stack.scope.owner}"


def _firewall(component: Component, stack: Stack) -> Mapping[str, Value]:
    groups = [grant.data["security_group"] for grant in stack.grants(component, "connect")]
    sources = [*groups, *component.spec["allowFrom"]]
    rules = [{"protocol": "tcp", "port": str(component.spec["port"]), "source": source} for source in sources]
    return {"description": _about(component, stack), "vpc": Ref("ec2_vpc.network", "id"), "ingress": rules}


def _parameters(component: Component, stack: Stack) -> Resource:
    spec = {
        "family": _family(component),
        "description": _about(component, stack),
        "parameters": component.spec["parameters"],
    }
    return _make(component, stack, "rds_parameter_group", spec, physical=_group(component, stack))


def _family(component: Component) -> str:
    major = str(component.spec["version"]).partition(".")[0]
    return f"postgres{major}"


def _group(component: Component, stack: Stack) -> str:
    """The parameter group's name, final: a pending upgrade is recognised by it."""
    own = f"{stack.scope.prefix}-{component.name}-{_family(component)}"
    return own if component.spec.get("parameters") else f"default.{_family(component)}"


def _instance(component: Component, stack: Stack) -> Resource:
    deletable = component.spec["deletionPolicy"] == "delete"
    spec = {**_settings(component, stack), "tags": claim(stack.scope, component.handle, deletable=deletable)}
    first = {f"rds_parameter_group.{component.name}"} if component.spec.get("parameters") else set()
    return replace(_make(component, stack, "rds_instance", spec), after=frozenset(first))


def _settings(component: Component, stack: Stack) -> Mapping[str, Value]:
    spec, name = component.spec, component.name
    return {
        "engine": spec["engine"],
        "version": spec["version"],
        "instance_class": spec["instanceClass"],
        **_storage(spec["storage"]),
        "database": spec["database"],
        "username": spec["username"],
        "port": spec["port"],
        "subnet_group": spec.get("subnetGroup") or Ref(f"rds_subnet_group.{name}", "name"),
        "security_groups": [Ref(f"ec2_security_group.{name}", "id")],
        "parameter_group": _group(component, stack),
        "multi_az": spec["multiAz"],
        "public": spec["public"],
        "network_type": spec["networkType"],
        "backup_retention_days": spec["backups"]["retentionDays"],
        "backup_window": spec["backups"]["window"],
        "copy_tags_to_snapshots": spec["backups"]["copyTags"],
        "maintenance_window": spec["maintenanceWindow"],
        "apply": spec["apply"],
        "minor_upgrades": spec["minorUpgrades"],
        "lifecycle_support": SUPPORT if spec["extendedSupport"] else f"{SUPPORT}-disabled",
        "deletion_protection": spec["deletionProtection"],
        "iam_authentication": spec["iamAuthentication"],
        "logs": spec["logs"],
        "credentials": _credentials(component, stack),
        **_watched(spec),
        **_given({"availability_zone": spec.get("availabilityZone"), "ca_certificate": spec.get("caCertificate")}),
    }


def _storage(storage: Mapping[str, Any]) -> Mapping[str, Value]:
    optional = {"storage_max_gb": "maxSizeGb", "iops": "iops", "throughput": "throughput", "kms_key": "kmsKey"}
    return {
        "storage_type": storage["type"],
        "storage_gb": storage["sizeGb"],
        "encrypted": storage["encrypted"],
        **_given({key: storage.get(name) for key, name in optional.items()}),
    }


def _watched(spec: Mapping[str, Any]) -> Mapping[str, Value]:
    insights, monitoring = spec["performanceInsights"], spec["monitoring"]
    days = insights["retentionDays"] if insights["enabled"] else None
    return {
        "insights": insights["enabled"],
        "monitoring_seconds": monitoring["intervalSeconds"],
        **_given({"insights_retention_days": days, "monitoring_role": monitoring.get("role")}),
    }


def _credentials(component: Component, stack: Stack) -> Mapping[str, Value]:
    granted = stack.grants(component, "credentials")
    return {"managed": True} if not granted else {"managed": False, **granted[0].data}


def _given(values: Mapping[str, Value]) -> Mapping[str, Value]:
    return {key: value for key, value in values.items() if value is not None}
