"""Database parameters.  API: RDS CreateDBParameterGroup, ModifyDBParameterGroup, DeleteDBParameterGroup.

Only declared parameters are compared and set.  Its family cannot change, so its name carries it: a major upgrade
makes a new group beside the old one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws, standing_tags
from orchestrator.steps import Call, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import Live, Scope

IMMUTABLE = frozenset({"family", "description"})
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws:rds:[^:]+:\d+:pg:(?P<name>.+)")

GONE = ("DBParameterGroupNotFound", "DBParameterGroupNotFoundFault")
IN_USE = ("InvalidDBParameterGroupState",)
A_BATCH = 20
"""Parameters that one call may change."""

STATIC = re.compile(
    r"rds\.(logical_replication|custom_dns_resolution|pg_stat_ramdisk_size|enable_plan_management)"
    r"|shared_(buffers|preload_libraries|memory_type)|max_(connections|worker_processes|wal_senders)"
    r"|max_(prepared_transactions|locks_per_transaction|pred_locks_per_transaction|files_per_process)"
    r"|max_(replication_slots|logical_replication_workers)|huge_pages|wal_(level|buffers|log_hints|decode_buffer_size)"
    r"|superuser_reserved_connections|reserved_connections|autovacuum_(max_workers|freeze_max_age)"
    r"|autovacuum_multixact_freeze_max_age|track_(activity_query_size|commit_timestamp)|old_snapshot_threshold"
    r"|pg_stat_statements\.max|cron\..*|jit_provider|min_dynamic_shared_memory|ignore_invalid_pages"
)
"""PostgreSQL's parameters that take effect at a restart only; RDS refuses to be asked for more."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """RDS keeps every value as text."""
    return {**spec, "parameters": {key: _text(value) for key, value in spec.get("parameters", {}).items()}}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """The group, its tags, and the parameters that somebody has set."""
    answer = aws.get("rds", "describe_db_parameter_groups", DBParameterGroupName=name, missing=GONE)
    if not answer or not answer.get("DBParameterGroups"):
        return None
    group = answer["DBParameterGroups"][0]
    arn = group.get("DBParameterGroupArn") or _arn(scope, name)
    tags = standing_tags(aws, scope, arn, spec.get("tags"), lambda: _tags(aws, arn))
    found = {"family": group["DBParameterGroupFamily"], "description": group.get("Description", ""), "tags": tags}
    if "parameters" in spec:
        where = {"DBParameterGroupName": name, "Source": "user"}
        listed = aws.all("rds", "describe_db_parameters", "Parameters", missing=GONE, **where)
        found["parameters"] = {one["ParameterName"]: one["ParameterValue"] for one in listed if "ParameterValue" in one}
    return Live(normalise(found), {"name": name, "arn": arn}, **marks(tags))


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    return mapping((aws.get("rds", "list_tags_for_resource", ResourceName=arn, missing=GONE) or {}).get("TagList"))


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """The group, then its parameters; those that are lost on the way are a difference on the next run."""
    body = {
        "DBParameterGroupName": name,
        "DBParameterGroupFamily": spec["family"],
        "Description": spec["description"],
        "Tags": pairs(spec["tags"]),
    }
    yield Call("rds", "create_db_parameter_group", body, ok=("DBParameterGroupAlreadyExists",))
    yield from _set(name, spec["parameters"])
    return {"name": name, "arn": _arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Only the parameters that differ."""
    if "parameters" in changed:
        there = live.spec.get("parameters", {})
        yield from _set(name, {key: value for key, value in spec["parameters"].items() if there.get(key) != value})
    if "tags" in changed:
        yield Call("rds", "add_tags_to_resource", {"ResourceName": live.outputs["arn"], "Tags": pairs(spec["tags"])})
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """One that an instance keeps until its maintenance window stays, and is found again on a later run."""
    yield Call("rds", "delete_db_parameter_group", {"DBParameterGroupName": name}, ok=(*GONE, *IN_USE))
    return {}


def _set(name: str, parameters: Mapping[str, Value]) -> Iterator[Call]:
    items = [
        {
            "ParameterName": key,
            "ParameterValue": value,
            "ApplyMethod": "pending-reboot" if STATIC.fullmatch(key) else "immediate",
        }
        for key, value in sorted(parameters.items())
    ]
    for start in range(0, len(items), A_BATCH):
        body = {"DBParameterGroupName": name, "Parameters": items[start : start + A_BATCH]}
        yield Call("rds", "modify_db_parameter_group", body, retry=(*IN_USE, *GONE))


def _text(value: Value) -> Value:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value) if isinstance(value, int | float) else value


def _arn(scope: Scope, name: str) -> str:
    return f"arn:aws:rds:{scope.region}:{scope.account}:pg:{name}"
