"""Manage the free gateway endpoint for S3 in a VPC. API: EC2 Create/ModifyVpcEndpoint, CreateTags, DeleteTags.

A VPC has one such endpoint, so environments and projects in it share it. Each one that uses it is marked on it: the
environment that created it by its ownership tags, the others by tags ``orchestrator:used-by:PROJECT/ENVIRONMENT``. An
environment that leaves removes its mark; the last one deletes the endpoint. The tag ``orchestrator:shared`` stays, as
roles may mark only endpoints that have it. An endpoint without marks is not managed by the orchestrator: it is used as
it is, and never changed or deleted. The tag ``Name`` is no identity: EC2's console lets everybody edit it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import build_usage_tag, from_aws_tags, list_owners, to_aws_tags
from orchestrator.resources import AwsReader
from orchestrator.resources._existing import confirm_existing
from orchestrator.steps import ApiCall, Steps, Sweep, Wait
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import (
    TAG_COMPONENT,
    TAG_DELETION_POLICY,
    TAG_ENVIRONMENT,
    TAG_PROJECT,
    TAG_USED_BY_PREFIX,
    FieldChange,
    Health,
    LiveResource,
    Scope,
    UnmanagedChange,
    parse_owner,
)

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"ec2_vpc"})
ARN = None

NOT_FOUND_CODES = ("InvalidVpcEndpointId.NotFound",)
INACTIVE_STATES = ("deleting", "deleted", "rejected", "expired")
WRITE_ONLY_FIELDS = ("vpc", "route_tables")
SHARED_EFFECT = "Uses the S3 endpoint of another environment. It is deleted with the last environment that uses it."
GENTLE = frozenset({SHARED_EFFECT})
"""Effects that need no approval."""
OWNERSHIP_KEYS = (TAG_PROJECT, TAG_ENVIRONMENT, TAG_COMPONENT, TAG_DELETION_POLICY)


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with VPC and route tables write-only: ``complete`` compares whether all tables are covered.

    ``marked`` says whether the endpoint is marked as used by this environment.
    """
    write_only = {
        key: spec[key] if isinstance(spec[key], WriteOnly) else WriteOnly(spec[key])
        for key in WRITE_ONLY_FIELDS
        if key in spec
    }
    return {"complete": True, "marked": True, **spec, **write_only}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the S3 gateway endpoint of the VPC, whoever created it, or None.

    With an empty spec, return the one that this environment uses, of several the one whose id ``name`` ends with.
    """
    if not spec:
        _, _, endpoint_id = name.partition("/")
        used = [item for item in _list_used(aws, scope) if not endpoint_id or item["VpcEndpointId"] == endpoint_id]
        return _build_live(scope, used[0], {}, is_complete=True) if used else None
    vpc_filters = {"is-default": "true"} if spec["network"] == "default" else {"vpc-id": spec["network"]}
    vpcs = aws.all("ec2", "describe_vpcs", "Vpcs", Filters=_build_filters(vpc_filters))
    in_vpc = [item for item in _list_gateway_endpoints(aws, scope) if vpcs and item["VpcId"] == vpcs[0]["VpcId"]]
    if not in_vpc:
        return None
    endpoint = min(in_vpc, key=lambda item: (scope.owner not in _list_users(item), not _list_users(item)))
    if not _list_users(endpoint):
        return _build_unmanaged_live(scope, endpoint, spec)
    if parse_owner(from_aws_tags(endpoint.get("Tags"))) not in (None, scope.owner):
        return _build_live(scope, endpoint, spec, is_complete=True)  # its creator looks after it
    route_tables = aws.all(
        "ec2", "describe_route_tables", "RouteTables", Filters=_build_filters({"vpc-id": endpoint["VpcId"]})
    )
    attached_table_ids = set(endpoint.get("RouteTableIds", []))
    is_complete = attached_table_ids >= {table["RouteTableId"] for table in route_tables}
    return _build_live(scope, endpoint, spec, is_complete=is_complete)


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield a name for each endpoint that the environment uses: the usual one, or of several one with the id."""
    used = _list_used(aws, scope)
    for endpoint in used:
        suffix = f"/{endpoint['VpcEndpointId']}" if len(used) > 1 else ""
        yield f"{scope.name_prefix}-s3{suffix}"


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the endpoint in one call."""
    tags = to_aws_tags({**spec["tags"], "Name": name})
    request = {
        "VpcEndpointType": "Gateway",
        "VpcId": spec["vpc"].value,
        "ServiceName": _service_name(scope),
        "RouteTableIds": spec["route_tables"].value,
        "TagSpecifications": [{"ResourceType": "vpc-endpoint", "Tags": tags}],
    }
    response = yield ApiCall(
        "ec2",
        "create_vpc_endpoint",
        request,
        exists_codes=("RouteAlreadyExists",),
        read_existing=confirm_existing(
            read,
            scope,
            name,
            spec,
            compared=True,
            to_response=lambda live: {"VpcEndpoint": {"VpcEndpointId": live.outputs["id"]}},
        ),
    )
    return {"id": response["VpcEndpoint"]["VpcEndpointId"]}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Mark the endpoint as used by this environment, add new route tables and update tags."""
    endpoint_id = live.outputs["id"]
    if "marked" in changed:
        mark = {"Key": build_usage_tag(scope), "Value": spec["tags"].get(TAG_COMPONENT, "")}
        yield ApiCall("ec2", "create_tags", {"Resources": [endpoint_id], "Tags": [mark]})
    if "complete" in changed:
        attached_table_ids = live.private["route_tables"]
        missing = [table for table in spec["route_tables"].value if table not in attached_table_ids]
        yield ApiCall("ec2", "modify_vpc_endpoint", {"VpcEndpointId": endpoint_id, "AddRouteTableIds": missing})
    if "tags" in changed:
        yield ApiCall("ec2", "create_tags", {"Resources": [endpoint_id], "Tags": to_aws_tags(spec["tags"])})
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Take this environment's mark away; delete the endpoint if nobody else uses it, asked again just before."""
    if live.private.get("unmanaged"):
        return {}
    endpoint_id = live.outputs["id"]
    if live.private.get("other_users"):
        keys = (build_usage_tag(scope), *(OWNERSHIP_KEYS if scope.owns(live.spec["tags"]) else ()))
        tags = [{"Key": key} for key in keys]
        yield ApiCall("ec2", "delete_tags", {"Resources": [endpoint_id], "Tags": tags}, ok_codes=NOT_FOUND_CODES)
        return {}
    listing = ApiCall("ec2", "describe_vpc_endpoints", {"Filters": _build_filters({"vpc-endpoint-id": endpoint_id})})
    yield Sweep(
        listing,
        "delete_vpc_endpoints",
        lambda response: _delete_call(scope, response),
        "delete the endpoint unless another environment uses it by now",
    )
    other_mark = f"VpcEndpoints[0].Tags[?starts_with(Key, '{TAG_USED_BY_PREFIX}') && Key != '{build_usage_tag(scope)}']"
    yield Wait(
        listing,
        f"({other_mark} | [0]) && 'kept' || VpcEndpoints[0].State || 'deleted'",
        target_values=("deleted", "kept"),
        description="the endpoint state",
        timeout_seconds=300,
    )
    return {}


def effects(fields: tuple[FieldChange, ...], live: LiveResource) -> Iterator[str]:
    """Yield what an update means: that the endpoint is shared."""
    if any(field.path == ("marked",) for field in fields):
        yield SHARED_EFFECT


def losses(live: LiveResource) -> Iterator[str]:
    """Yield the effects of a deletion."""
    if live.private.get("other_users"):
        yield f"The S3 endpoint is kept for {_join_users(live)}; only this environment's mark on it is removed."


def _list_gateway_endpoints(aws: AwsReader, scope: Scope) -> list[Any]:
    filters = _build_filters({"service-name": _service_name(scope), "vpc-endpoint-type": "Gateway"})
    endpoints = aws.all("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=filters)
    return [item for item in endpoints if str(item.get("State", "available")).lower() not in INACTIVE_STATES]


def _service_name(scope: Scope) -> str:
    return f"com.amazonaws.{scope.region}.s3"


def _list_users(endpoint: Any) -> tuple[str, ...]:
    return list_owners(from_aws_tags(endpoint.get("Tags")))


def _list_used(aws: AwsReader, scope: Scope) -> list[Any]:
    """Return the endpoints that bear this environment's mark."""
    return [item for item in _list_gateway_endpoints(aws, scope) if scope.owner in _list_users(item)]


def _delete_call(scope: Scope, response: Any) -> ApiCall | None:
    """Return the call that deletes a listed endpoint, or None if it is gone, going, or used by others."""
    for endpoint in response.get("VpcEndpoints", []):
        is_active = str(endpoint.get("State", "available")).lower() not in INACTIVE_STATES
        if is_active and set(_list_users(endpoint)) <= {scope.owner}:
            request = {"VpcEndpointIds": [endpoint["VpcEndpointId"]]}
            return ApiCall("ec2", "delete_vpc_endpoints", request, ok_codes=NOT_FOUND_CODES)
    return None


def _join_users(live: LiveResource) -> str:
    return " and ".join(live.private["other_users"])


def _build_live(scope: Scope, endpoint: Any, spec: Mapping[str, Value], *, is_complete: bool) -> LiveResource:
    """Return an endpoint that environments use; its ownership tags are compared by the one that created it."""
    tags = from_aws_tags(endpoint.get("Tags"))
    users = list_owners(tags)
    others = tuple(user for user in users if user != scope.owner)
    is_available = str(endpoint.get("State", "available")).lower() == "available"
    return LiveResource(
        {
            "network": spec.get("network"),
            "complete": is_complete,
            "marked": scope.owner in users,
            "tags": tags if scope.owns(tags) else {**spec.get("tags", {})},
        },
        {"id": endpoint["VpcEndpointId"]},
        {"route_tables": endpoint.get("RouteTableIds", []), "other_users": others},
        health=Health.HEALTHY if is_available else Health.PROGRESSING,
        status=f"shared with {' and '.join(others)}" if others else "",
        unmanaged=_find_policy_changes(endpoint) if spec and scope.owns(tags) else (),
        owner=scope.owner,
        component=tags.get(TAG_COMPONENT if scope.owns(tags) else build_usage_tag(scope)),
    )


def _find_policy_changes(endpoint: Any) -> tuple[UnmanagedChange, ...]:
    """Return the endpoint's policy if it is not the default one, which allows everything."""
    document = endpoint.get("PolicyDocument")
    try:
        statements = json.loads(document)["Statement"] if document else []
    except (ValueError, KeyError, TypeError):
        statements = [document]
    statements = statements if isinstance(statements, list) else [statements]
    is_default = all(
        isinstance(item, Mapping)
        and (item.get("Effect"), item.get("Action"), item.get("Resource")) == ("Allow", "*", "*")
        and "Condition" not in item
        for item in statements
    )
    remedy = "Services may lose access to S3; to restore the default, run `aws ec2 modify-vpc-endpoint --reset-policy`"
    return () if is_default else (UnmanagedChange("policy", None, statements, remedy),)


def _build_unmanaged_live(scope: Scope, endpoint: Any, spec: Mapping[str, Value]) -> LiveResource:
    return LiveResource(
        {"network": spec["network"], "complete": True, "marked": True, "tags": spec.get("tags", {})},
        {"id": endpoint["VpcEndpointId"]},
        {"unmanaged": True},
        owner=scope.owner,
        status="uses an existing endpoint that the orchestrator does not manage",
    )


def _build_filters(values_by_name: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]} for name, value in values_by_name.items()]
