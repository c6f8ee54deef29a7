"""Check what a schema cannot express about a Database: windows, reserved names, storage and connections.  Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from orchestrator.components.database import parameter_checks
from orchestrator.components.database.maintenance_windows import duration_minutes, has_overlap
from orchestrator.quantities import format_count
from orchestrator.vocabulary import Component

Siblings: TypeAlias = Mapping[str, Component]
Finding: TypeAlias = tuple[tuple[str | int, ...], str, str | None]

MIN_WINDOW_MINUTES = 30
MAX_WINDOW_MINUTES = 24 * 60
MIN_STRIPED_STORAGE_GB = 400
"""From this size RDS stripes PostgreSQL storage across four volumes, and gp3's IOPS and throughput can be set."""
MIN_STRIPED_IOPS = 12_000
MAX_IOPS_PER_GB = {"gp3": 500, "io1": 50, "io2": 1000}
IOPS_PER_THROUGHPUT = 4
"""One MiB per second of gp3 requires this many IOPS."""
MEMORY_GB_BY_SIZE = {"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16, "2xlarge": 32, "4xlarge": 64}
BYTES_PER_CONNECTION = 9_531_392
"""RDS's formula: max_connections is the memory (of which about three quarters are available) divided by this value, at
most 5,000."""
RESERVED_WORDS_PATTERN = re.compile(
    "all|any|authorization|both|case|cast|check|create|current_user|default|distinct|do|else|end|false|for|from|grant"
    "|group|having|in|into|is|leading|limit|new|not|null|off|offset|old|on|only|or|order|placing|primary|references"
    "|select|session_user|some|table|then|to|trailing|true|union|unique|user|using|when|where|with"
)
"""Words that PostgreSQL reserves."""
RESERVED_USERS_PATTERN = re.compile(
    "pg_.*|rds_(iam|password|replication|superuser)|rds(admin|repladmin|topmgr)|admin|public"
)
"""Names of users that PostgreSQL or RDS reserve."""
RESERVED_DATABASES = frozenset({"rdsadmin", "template0", "template1", "catalog", "db", "flag"})
"""Names that RDS rejects with "cannot be used. It is a reserved word for this engine": more than PostgreSQL's own."""


def check(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """Yield problems as (path, message, hint); text that still contains references is not checked."""
    spec = component.spec
    yield from _check_windows(spec)
    yield from _check_names(component, siblings)
    yield from _check_storage(spec["storage"])
    yield from _check_instance(spec)
    yield from _check_pool(component, siblings)
    yield from _check_alarms(spec)
    yield from _check_networks(spec)
    yield from parameter_checks.check(spec.get("parameters", {}))
    for index, reference in enumerate(spec.get("fileReferences", ())):
        if reference["bucket"] not in siblings:
            declared = ", ".join(sorted(handle for handle in siblings if handle.startswith("bucket."))) or "none"
            message = f"no manifest declares the Bucket {reference['bucket']}"
            yield ("spec", "fileReferences", index, "bucket"), message, f"declared: {declared}"


def _check_windows(spec: Mapping[str, Any]) -> Iterator[Finding]:
    backup, maintenance = spec["backups"]["window"], spec["maintenanceWindow"]
    if "${" in backup + maintenance:
        return
    windows = {("spec", "backups", "window"): backup, ("spec", "maintenanceWindow"): maintenance}
    for path, window in windows.items():
        if not MIN_WINDOW_MINUTES <= duration_minutes(window) <= MAX_WINDOW_MINUTES:
            yield (
                path,
                (
                    f"the window {window} lasts {format_count(duration_minutes(window), 'minute')}; RDS requires 30 "
                    "minutes to 24 hours"
                ),
                None,
            )
    if has_overlap(backup, maintenance):
        message = f"the backup window {backup} and the maintenance window {maintenance} overlap"
        yield ("spec", "maintenanceWindow"), message, "move one of them; both are in UTC"


def _check_names(component: Component, siblings: Siblings) -> Iterator[Finding]:
    spec = component.spec
    username, database = spec["username"].lower(), spec["database"].lower()
    if RESERVED_USERS_PATTERN.fullmatch(username) or RESERVED_WORDS_PATTERN.fullmatch(username):
        yield ("spec", "username"), f"the user name {spec['username']} is reserved by PostgreSQL or RDS", None
    if database in RESERVED_DATABASES or RESERVED_WORDS_PATTERN.fullmatch(database):
        yield ("spec", "database"), f"the database name {spec['database']} is reserved by PostgreSQL or RDS", None
    if "--" in component.name or component.name.endswith("-"):
        message = "a database name must not contain two hyphens in a row or end with a hyphen"
        yield ("metadata", "name"), message, None
    if f"containerservice.{component.name}" in siblings:
        message = f"containerservice.{component.name} has the same name, and their security groups would conflict"
        yield ("metadata", "name"), message, "rename one of the two"


def _check_storage(storage: Mapping[str, Any]) -> Iterator[Finding]:
    storage_type, size_gb = storage["type"], storage["sizeGb"]
    provisioned = [name for name in ("iops", "throughput") if name in storage]
    for name in provisioned:
        message = None
        if storage_type == "gp2" or (storage_type != "gp3" and name == "throughput"):
            message = f"{storage_type} does not support `{name}`"
        elif storage_type == "gp3" and size_gb < MIN_STRIPED_STORAGE_GB:
            message = (
                f"gp3 below {MIN_STRIPED_STORAGE_GB} GB does not support `{name}`: "
                "3000 IOPS and 125 MiB per second are included"
            )
        if message:
            yield ("spec", "storage", name), message, f"remove `{name}`"
    if storage_type == "gp3" and size_gb >= MIN_STRIPED_STORAGE_GB and storage.get("iops", 12000) < 12000:
        yield (
            ("spec", "storage", "iops"),
            f"gp3 storage of {MIN_STRIPED_STORAGE_GB} GB or more has at least 12000 IOPS",
            None,
        )
    yield from _check_provisioned(storage)
    if storage_type.startswith("io") and ("iops" not in storage or size_gb < 100):
        message = f"{storage_type} requires `iops` and a size of at least 100 GB"
        yield ("spec", "storage", "type"), message, "use `type: gp3`"
    if storage.get("maxSizeGb", size_gb * 2) < size_gb * 1.1:
        message = f"maxSizeGb {storage['maxSizeGb']} is too small: RDS requires at least 10% more than sizeGb {size_gb}"
        yield ("spec", "storage", "maxSizeGb"), message, None
    if "kmsKey" in storage and not storage["encrypted"]:
        yield ("spec", "storage", "kmsKey"), "`kmsKey` requires encrypted storage", "set `encrypted: true`"


def _check_provisioned(storage: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield IOPS and throughput beyond what RDS allows (RDS User Guide, "Amazon RDS DB instance storage")."""
    storage_type, size_gb, iops = storage["type"], storage["sizeGb"], storage.get("iops")
    limit = size_gb * MAX_IOPS_PER_GB.get(storage_type, 0)
    is_tunable = storage_type != "gp3" or size_gb >= MIN_STRIPED_STORAGE_GB
    if iops is not None and is_tunable and 0 < limit < iops:
        message = f"{storage_type} storage of {size_gb} GB supports at most {limit} IOPS"
        yield ("spec", "storage", "iops"), message, f"set `iops: {limit}` or less, or a larger `sizeGb`"
    throughput, max_throughput = storage.get("throughput", 0), (iops or MIN_STRIPED_IOPS) // IOPS_PER_THROUGHPUT
    if storage_type == "gp3" and size_gb >= MIN_STRIPED_STORAGE_GB and throughput > max_throughput:
        message = f"{iops or MIN_STRIPED_IOPS} IOPS support at most {max_throughput} MiB per second"
        hint = f"set `iops: {throughput * IOPS_PER_THROUGHPUT}`, or a lower `throughput`"
        yield ("spec", "storage", "throughput"), message, hint


def _check_networks(spec: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield CIDR blocks that are none, and those with host bits, which EC2 changes and a plan would report for ever."""
    for index, block in enumerate(spec["allowFrom"]):
        path = ("spec", "allowFrom", index)
        if "${" in block:
            continue
        try:
            network = ipaddress.ip_network(block, strict=False)
        except ValueError:
            yield path, f"`{block}` is not a valid CIDR block", "write a block such as 203.0.113.0/24"
            continue
        if str(network) != block:
            yield path, f"EC2 stores the CIDR block `{block}` as `{network}`", f"write `{network}`"


def _check_instance(spec: Mapping[str, Any]) -> Iterator[Finding]:
    if spec["multiAz"] and "availabilityZone" in spec:
        yield ("spec", "availabilityZone"), "with `multiAz`, AWS chooses the zones", "remove `availabilityZone`"
    if spec["monitoring"]["intervalSeconds"] and "role" not in spec["monitoring"]:
        yield ("spec", "monitoring"), "enhanced monitoring requires a `role` that allows RDS to write its logs", None


def _check_pool(component: Component, siblings: Siblings) -> Iterator[Finding]:
    pool, limit = component.spec["pool"], max_connections(component.spec)
    if pool["min"] > pool["max"]:
        yield ("spec", "pool", "min"), f"pool.min {pool['min']} is greater than pool.max {pool['max']}", None
    instances = sum(count_instances(component, siblings).values())
    total_connections = instances * pool["max"]
    if limit is not None and total_connections > limit:
        message = (
            f"{instances} instances with {pool['max']} connections each need {total_connections} connections, "
            f"but {component.spec['instanceClass']} allows about {limit}"
        )
        yield (
            ("spec", "pool", "max"),
            message,
            f"set `max: {max(1, limit // instances)}`, or choose a larger instanceClass",
        )


def count_instances(component: Component, siblings: Siblings) -> dict[str, int]:
    """Return the most instances of every service that connects to the database, by its handle."""
    services = (sibling for sibling in siblings.values() if sibling.kind == "ContainerService")
    clients = [service for service in services if component.handle in service.spec["access"]]
    return {client.handle: int(client.spec.get("instances", {}).get("max", 1)) for client in clients}


def describe_connections(component: Component, siblings: Siblings) -> str:
    """Return how many connections the services open at most, and what the class allows; "" if that is unknown.

    App Runner and ECS Express start the new instances of a deployment before they stop the old ones.
    """
    limit, instances = max_connections(component.spec), count_instances(component, siblings)
    if limit is None or not instances:
        return ""
    pool_max = component.spec["pool"]["max"]
    total = sum(instances.values()) * pool_max
    parts = ", ".join(f"{count} of {handle}" for handle, count in sorted(instances.items()))
    warning = "" if 2 * total <= limit else " A deployment can run out of connections: lower `pool.max`."
    return (
        f"Services open up to {total} connections to {component.handle} ({pool_max} from each instance: {parts}), and "
        f"up to {2 * total} while a deployment replaces all instances. {component.spec['instanceClass']} allows about "
        f"{limit}.{warning}"
    )


def _check_alarms(spec: Mapping[str, Any]) -> Iterator[Finding]:
    alarms, limit = spec["alarms"], max_connections(spec)
    if "cpuCredits" in alarms and not str(spec["instanceClass"]).startswith("db.t"):
        message = f"{spec['instanceClass']} has no CPU credits; only burstable classes (db.t...) have them"
        yield ("spec", "alarms", "cpuCredits"), message, "remove it, or use `cpuPercent`, which works with every class"
    if limit is not None and alarms.get("connections", 0) > limit:
        message = f"this alarm can never fire: {spec['instanceClass']} allows about {limit} connections"
        yield ("spec", "alarms", "connections"), message, f"set `connections: {limit * 3 // 4}`"
    if alarms.get("freeStorageGb", 0) >= spec["storage"]["sizeGb"]:
        message = f"this alarm always fires: the storage has only {spec['storage']['sizeGb']} GB"
        yield ("spec", "alarms", "freeStorageGb"), message, None


def max_connections(spec: Mapping[str, Any]) -> int | None:
    """Return the approximate connection limit of the class, or None if it is unknown or set in the manifest."""
    family, _, size = str(spec["instanceClass"]).removeprefix("db.").partition(".")
    memory_gb = MEMORY_GB_BY_SIZE.get(size)
    if memory_gb is None or "max_connections" in spec.get("parameters", {}):
        return None
    if family.startswith("r"):
        memory_gb *= 2
    return min(5000, memory_gb * 1024**3 * 3 // 4 // BYTES_PER_CONNECTION)
