"""The calls that make and change an instance.  Pure: builds steps, yields none."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from orchestrator.resources.rds_instance.api_members import (
    BUSY,
    OBEDIENT,
    OUTAGE,
    SETTINGS,
    STORAGE,
    TAG_APPLY,
    TAG_CREDENTIALS,
)
from orchestrator.steps import Call, Wait
from orchestrator.values import Value, join
from orchestrator.vocabulary import Live, Scope

IMMEDIATELY = "immediately"
USABLE = ("available", "storage-optimization")
BROKEN = ("failed", "incompatible-network", "incompatible-parameters", "incompatible-option-group", "storage-full")
NAMED_OTHERWISE = {"DBPortNumber": "Port", "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled"}
"""Members of ModifyDBInstance that PendingModifiedValues calls by another name."""


class Modification(Struct, frozen=True):
    """One ModifyDBInstance, and the members of PendingModifiedValues that must be gone before it is done."""

    call: Call
    awaited: tuple[str, ...]


def creation(name: str, spec: Mapping[str, Value]) -> dict[str, Value]:
    """Parameters of CreateDBInstance, but for password and tags."""
    declared = {SETTINGS[key].create: value for key, value in spec.items() if key in SETTINGS and value is not None}
    return {"DBInstanceIdentifier": name, **declared}


def modification(name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Modification | None:
    """What ModifyDBInstance must be told, or None.

    ``ApplyImmediately`` carries out everything that waits, not only what comes with it.  So it is set when the
    manifest says so, or for changes without an outage as long as none with an outage waits or comes along.
    """
    keys = {key for key in changed if key in SETTINGS}
    keys |= keys & STORAGE and STORAGE & spec.keys()
    waiting = live.private.get("pending", {}).keys()
    at_once = spec.get("apply") == IMMEDIATELY
    if at_once and changed & {"apply"}:
        keys |= waiting & spec.keys()
    body = _members(keys, spec, live)
    if not body:
        return None
    immediate = at_once or (bool(keys & OBEDIENT) and not (keys | waiting) & OUTAGE)
    awaited = tuple(sorted(NAMED_OTHERWISE.get(member, member) for member in body)) if immediate else ()
    body |= {"DBInstanceIdentifier": name, "ApplyImmediately": immediate}
    return Modification(Call("rds", "modify_db_instance", body, retry=BUSY, patience=1800), awaited)


def available(name: str, awaited: tuple[str, ...] = (), patience: float = 3600.0) -> Wait:
    """Wait until it can be used; RDS says so before it begins, too, while ``awaited`` is still pending."""
    status = "DBInstances[0].DBInstanceStatus"
    pending = [f"DBInstances[0].PendingModifiedValues.{member}" for member in awaited]
    path = f"not_null({', '.join(pending)}) != `null` && 'modifying' || {status}" if pending else status
    listing = Call("rds", "describe_db_instances", {"DBInstanceIdentifier": name})
    advice = f"Look at the events of {name} in RDS; the next run goes on from there."
    return Wait(listing, path, USABLE, BROKEN, patience=patience, stuck=advice, what="its status")


def tags(spec: Mapping[str, Value]) -> dict[str, Value]:
    """The marks, and what RDS has no field for."""
    own: dict[str, Value] = {TAG_APPLY: spec["apply"]} if spec.get("apply") else {}
    credentials = spec["credentials"]
    if credentials.get("secret") is not None:
        own[TAG_CREDENTIALS] = join([credentials["secret"], " ", credentials["key"]])
    return {**spec.get("tags", {}), **own}


def arn(scope: Scope, name: str) -> str:
    """Final before the instance exists."""
    return f"arn:aws:rds:{scope.region}:{scope.account}:db:{name}"


def _members(keys: set[str], spec: Mapping[str, Value], live: Live) -> dict[str, Value]:
    body: dict[str, Value] = {}
    for key in sorted(keys):
        if (member := SETTINGS[key].modify) is not None and spec[key] is not None:
            body[member] = spec[key]
    if "storage_gb" in keys:  # it may have grown by itself
        body["AllocatedStorage"] = max(spec["storage_gb"], live.private.get("storage_gb", 0))
    if "version" in keys and _major(spec["version"]) != _major(live.private.get("version", "")):
        body["AllowMajorVersionUpgrade"] = True
    if "logs" in keys:
        there = live.spec.get("logs") or []
        enable = [log for log in spec["logs"] if log not in there]
        disable = [log for log in there if log not in spec["logs"]]
        body["CloudwatchLogsExportConfiguration"] = {"EnableLogTypes": enable, "DisableLogTypes": disable}
    return body


def _major(version: str) -> str:
    return version.partition(".")[0]
