"""Manage database parameter groups. API: RDS CreateDBParameterGroup, ModifyDBParameterGroup, DeleteDBParameterGroup.

Only declared parameters are compared and set. The family is immutable, so the name contains it: a major upgrade creates
a new group beside the old one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader, read_tags
from orchestrator.resources._existing import confirm_existing
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE = frozenset({"family", "description"})
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws:rds:[^:]+:\d+:pg:(?P<name>.+)")

NOT_FOUND_CODES = ("DBParameterGroupNotFound", "DBParameterGroupNotFoundFault")
IN_USE_CODES = ("InvalidDBParameterGroupState",)
MAX_PARAMETERS_PER_CALL = 20
"""Maximum number of parameters that one call may change."""

STATIC_PARAMETERS = re.compile(
    r"rds\.(logical_replication|custom_dns_resolution|pg_stat_ramdisk_size|enable_plan_management)"
    r"|shared_(buffers|preload_libraries|memory_type)|max_(connections|worker_processes|wal_senders)"
    r"|max_(prepared_transactions|locks_per_transaction|pred_locks_per_transaction|files_per_process)"
    r"|max_(replication_slots|logical_replication_workers)|huge_pages|wal_(level|buffers|log_hints|decode_buffer_size)"
    r"|superuser_reserved_connections|reserved_connections|autovacuum_(max_workers|freeze_max_age)"
    r"|autovacuum_multixact_freeze_max_age|track_(activity_query_size|commit_timestamp)|old_snapshot_threshold"
    r"|pg_stat_statements\.max|cron\..*|jit_provider|min_dynamic_shared_memory|ignore_invalid_pages"
)
"""PostgreSQL parameters that take effect only after a restart; RDS refuses to apply them immediately."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with every parameter value as text, as RDS stores it."""
    return {**spec, "parameters": {key: _to_text(value) for key, value in spec.get("parameters", {}).items()}}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the group with its tags, and user-set parameters if the spec asks for them, or None."""
    response = aws.get("rds", "describe_db_parameter_groups", DBParameterGroupName=name, missing=NOT_FOUND_CODES)
    if not response or not response.get("DBParameterGroups"):
        return None
    group = response["DBParameterGroups"][0]
    arn = group.get("DBParameterGroupArn") or _group_arn(scope, name)
    tags = read_tags(aws, scope, arn, spec.get("tags"), lambda: _fetch_tags(aws, arn))
    live_spec = {"family": group["DBParameterGroupFamily"], "description": group.get("Description", ""), "tags": tags}
    if "parameters" in spec:
        request = {"DBParameterGroupName": name, "Source": "user"}
        parameters = aws.all("rds", "describe_db_parameters", "Parameters", missing=NOT_FOUND_CODES, **request)
        live_spec["parameters"] = {
            parameter["ParameterName"]: parameter["ParameterValue"]
            for parameter in parameters
            if "ParameterValue" in parameter
        }
    private = {} if spec else {"users": _list_users(aws, name)}
    return LiveResource(normalise(live_spec), {"name": name, "arn": arn}, private, **parse_ownership(tags))


def users(live: LiveResource) -> tuple[tuple[str, str], ...]:
    """Return type and name of what uses a group that no manifest declares."""
    return tuple(("rds_instance", name) for name in live.private.get("users", ()))


def _list_users(aws: AwsReader, name: str) -> tuple[str, ...]:
    """Return the identifiers of the instances that use the group, from the listing that instances are read from."""
    instances = aws.all("rds", "describe_db_instances", "DBInstances")
    return tuple(
        sorted(
            item["DBInstanceIdentifier"]
            for item in instances
            if name in {group.get("DBParameterGroupName") for group in item.get("DBParameterGroups") or ()}
        )
    )


def _fetch_tags(aws: AwsReader, arn: str) -> dict[str, str]:
    return from_aws_tags(
        (aws.get("rds", "list_tags_for_resource", ResourceName=arn, missing=NOT_FOUND_CODES) or {}).get("TagList")
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the group, then set its parameters.

    Parameters that are lost on the way show as a difference on the next run.
    """
    request = {
        "DBParameterGroupName": name,
        "DBParameterGroupFamily": spec["family"],
        "Description": spec["description"],
        "Tags": to_aws_tags(spec["tags"]),
    }
    created_spec = {key: spec[key] for key in ("family", "description", "tags")}
    yield ApiCall(
        "rds",
        "create_db_parameter_group",
        request,
        exists_codes=("DBParameterGroupAlreadyExists",),
        read_existing=confirm_existing(read, scope, name, created_spec, compared=True),
    )
    yield from _set_parameters(name, spec["parameters"])
    return {"name": name, "arn": _group_arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Set only the parameters that differ, and update tags."""
    if "parameters" in changed:
        live_parameters = live.spec.get("parameters", {})
        yield from _set_parameters(
            name, {key: value for key, value in spec["parameters"].items() if live_parameters.get(key) != value}
        )
    if "tags" in changed:
        yield ApiCall(
            "rds", "add_tags_to_resource", {"ResourceName": live.outputs["arn"], "Tags": to_aws_tags(spec["tags"])}
        )
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the group once the instance that used it is deleted or uses another.

    A group that something goes on using is not planned for deletion (``users``).
    """
    yield ApiCall(
        "rds",
        "delete_db_parameter_group",
        {"DBParameterGroupName": name},
        ok_codes=NOT_FOUND_CODES,
        retry_codes=IN_USE_CODES,
    )
    return {}


def _set_parameters(name: str, parameters: Mapping[str, Value]) -> Iterator[ApiCall]:
    items = [
        {
            "ParameterName": key,
            "ParameterValue": value,
            "ApplyMethod": "pending-reboot" if STATIC_PARAMETERS.fullmatch(key) else "immediate",
        }
        for key, value in sorted(parameters.items())
    ]
    for start in range(0, len(items), MAX_PARAMETERS_PER_CALL):
        request = {"DBParameterGroupName": name, "Parameters": items[start : start + MAX_PARAMETERS_PER_CALL]}
        yield ApiCall("rds", "modify_db_parameter_group", request, retry_codes=(*IN_USE_CODES, *NOT_FOUND_CODES))


def _to_text(value: Value) -> Value:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value) if isinstance(value, int | float) else value


def _group_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:rds:{scope.region}:{scope.account}:pg:{name}"
