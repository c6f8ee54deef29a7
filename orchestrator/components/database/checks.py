"""What a schema cannot say of a Database: windows, words that are taken, disks, and how many may connect.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from orchestrator.components.database.maintenance_windows import minutes, overlap
from orchestrator.vocabulary import Component

Siblings: TypeAlias = Mapping[str, Component]
Finding: TypeAlias = tuple[tuple[str | int, ...], str, str | None]

SHORTEST = 30
LONGEST = 24 * 60
STRIPED_FROM_GB = 400
"""From here on RDS spreads a PostgreSQL disk over four volumes, and gp3's speed can be bought."""
MEMORY_GB = {"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16, "2xlarge": 32, "4xlarge": 64}
BYTES_A_CONNECTION = 9_531_392
"""RDS's own formula: max_connections is the memory (about three quarters of it are left) by this, 5,000 at most."""
USERS = re.compile(
    "pg_.*|rds_(iam|password|replication|superuser)|rds(admin|repladmin|topmgr)|admin|all|any|authorization|both|case"
    "|cast|check|create|current_user|default|distinct|do|else|end|false|for|from|grant|group|having|in|into|is|leading"
    "|limit|new|not|null|off|offset|old|on|only|or|order|placing|primary|public|references|select|session_user|some"
    "|table|then|to|trailing|true|union|unique|user|using|when|where|with"
)
"""Names that PostgreSQL or RDS keep for themselves."""
DATABASES = frozenset({"rdsadmin", "template0", "template1"})


def check(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """Problems as (path, sentence, hint); text that still holds references goes unjudged."""
    spec = component.spec
    yield from _windows(spec)
    yield from _names(component, siblings)
    yield from _disk(spec["storage"])
    yield from _machine(spec)
    yield from _pool(component, siblings)
    yield from _alarms(spec)


def _windows(spec: Mapping[str, Any]) -> Iterator[Finding]:
    backup, maintenance = spec["backups"]["window"], spec["maintenanceWindow"]
    if "${" in backup + maintenance:
        return
    windows = {("spec", "backups", "window"): backup, ("spec", "maintenanceWindow"): maintenance}
    for path, window in windows.items():
        if not SHORTEST <= minutes(window) <= LONGEST:
            yield path, f"the window {window} lasts {minutes(window)} minutes; RDS wants 30 minutes to 24 hours", None
    if overlap(backup, maintenance):
        sentence = f"the backup window {backup} and the maintenance window {maintenance} overlap"
        yield ("spec", "maintenanceWindow"), sentence, "move one of them; both are in UTC"


def _names(component: Component, siblings: Siblings) -> Iterator[Finding]:
    spec = component.spec
    if USERS.fullmatch(spec["username"].lower()):
        yield ("spec", "username"), f"the user name {spec['username']} is taken by PostgreSQL or RDS", None
    if spec["database"].lower() in DATABASES:
        yield ("spec", "database"), f"the database name {spec['database']} is taken by RDS", None
    if "--" in component.name or component.name.endswith("-"):
        sentence = "a database's name has single hyphens, and none at the end"
        yield ("metadata", "name"), sentence, None
    if f"containerservice.{component.name}" in siblings:
        sentence = f"containerservice.{component.name} has the same name, and each has a security group of its name"
        yield ("metadata", "name"), sentence, "give one of the two another name"


def _disk(storage: Mapping[str, Any]) -> Iterator[Finding]:
    kind, size = storage["type"], storage["sizeGb"]
    bought = [name for name in ("iops", "throughput") if name in storage]
    for name in bought:
        sentence = None
        if kind == "gp2" or (kind != "gp3" and name == "throughput"):
            sentence = f"{kind} takes no `{name}`"
        elif kind == "gp3" and size < STRIPED_FROM_GB:
            sentence = (
                f"gp3 below {STRIPED_FROM_GB} GB takes no `{name}`: 3000 operations and 125 MiB a second are included"
            )
        if sentence:
            yield ("spec", "storage", name), sentence, f"leave `{name}` out"
    if kind == "gp3" and size >= STRIPED_FROM_GB and storage.get("iops", 12000) < 12000:
        yield ("spec", "storage", "iops"), f"gp3 from {STRIPED_FROM_GB} GB on has 12000 operations at least", None
    if kind.startswith("io") and ("iops" not in storage or size < 100):
        yield ("spec", "storage", "type"), f"{kind} wants `iops`, and a size of 100 GB at least", "type: gp3"
    if storage.get("maxSizeGb", size * 2) < size * 1.1:
        sentence = f"maxSizeGb {storage['maxSizeGb']} leaves no room: RDS wants 10 % more than sizeGb {size} at least"
        yield ("spec", "storage", "maxSizeGb"), sentence, None
    if "kmsKey" in storage and not storage["encrypted"]:
        yield ("spec", "storage", "kmsKey"), "a disk that is not encrypted has no key", "encrypted: true"


def _machine(spec: Mapping[str, Any]) -> Iterator[Finding]:
    if spec["multiAz"] and "availabilityZone" in spec:
        yield ("spec", "availabilityZone"), "with `multiAz` AWS chooses the zones", "leave `availabilityZone` out"
    if spec["monitoring"]["intervalSeconds"] and "role" not in spec["monitoring"]:
        yield ("spec", "monitoring"), "enhanced monitoring needs a `role` that lets RDS write its logs", None


def _pool(component: Component, siblings: Siblings) -> Iterator[Finding]:
    pool, limit = component.spec["pool"], _most_connections(component.spec)
    if pool["min"] > pool["max"]:
        yield ("spec", "pool", "min"), f"pool.min {pool['min']} is more than pool.max {pool['max']}", None
    users = [one for one in siblings.values() if component.handle in one.spec.get("access", ())]
    instances = sum(one.spec.get("instances", {}).get("max", 1) for one in users)
    wanted = instances * pool["max"]
    if limit is not None and wanted > limit:
        sentence = (
            f"{instances} instances with {pool['max']} connections each want {wanted}, "
            f"{component.spec['instanceClass']} has about {limit}"
        )
        yield ("spec", "pool", "max"), sentence, f"max: {max(1, limit // instances)}, or a larger instanceClass"


def _alarms(spec: Mapping[str, Any]) -> Iterator[Finding]:
    alarms, limit = spec["alarms"], _most_connections(spec)
    if "cpuCredits" in alarms and not str(spec["instanceClass"]).startswith("db.t"):
        sentence = f"{spec['instanceClass']} has no CPU credits; only burstable classes (db.t...) have"
        yield ("spec", "alarms", "cpuCredits"), sentence, "leave it out; `cpuPercent` fits every class"
    if limit is not None and alarms.get("connections", 0) > limit:
        sentence = f"this alarm never goes off: {spec['instanceClass']} has about {limit} connections"
        yield ("spec", "alarms", "connections"), sentence, f"connections: {limit * 3 // 4}"
    if alarms.get("freeStorageGb", 0) >= spec["storage"]["sizeGb"]:
        sentence = f"this alarm never rests: there are only {spec['storage']['sizeGb']} GB"
        yield ("spec", "alarms", "freeStorageGb"), sentence, None


def _most_connections(spec: Mapping[str, Any]) -> int | None:
    """About how many connections the class has, or None where that is not known or set by the manifest."""
    family, _, size = str(spec["instanceClass"]).removeprefix("db.").partition(".")
    memory = MEMORY_GB.get(size)
    if memory is None or "max_connections" in spec.get("parameters", {}):
        return None
    if family.startswith("r"):
        memory *= 2
    return min(5000, memory * 1024**3 * 3 // 4 // BYTES_A_CONNECTION)
