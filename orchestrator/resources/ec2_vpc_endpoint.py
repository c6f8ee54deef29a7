"""Manage the free gateway endpoint for S3 in a VPC. API: EC2 Create/ModifyVpcEndpoint.

A VPC can have only one gateway endpoint per service. An existing endpoint of another owner is used as it is: it is
reported as matching the spec, and never changed or deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader
from orchestrator.steps import ApiCall, Steps, Wait
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import Health, LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"ec2_vpc"})
ARN = None

NOT_FOUND_CODES = ("InvalidVpcEndpointId.NotFound",)
INACTIVE_STATES = ("deleting", "deleted", "rejected", "expired")
WRITE_ONLY_FIELDS = ("vpc", "route_tables")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with VPC and route tables write-only: ``complete`` compares whether all tables are covered."""
    write_only = {
        key: spec[key] if isinstance(spec[key], WriteOnly) else WriteOnly(spec[key])
        for key in WRITE_ONLY_FIELDS
        if key in spec
    }
    return {"complete": True, **spec, **write_only}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the S3 gateway endpoint of the VPC, or None. With an empty spec, return the environment's own endpoint."""
    endpoints = _list_gateway_endpoints(aws, scope)
    if not spec:
        owned = [item for item in endpoints if _is_ours(scope, name, item)]
        return _build_live(owned[0], is_complete=True) if owned else None
    vpc_filters = {"is-default": "true"} if spec["network"] == "default" else {"vpc-id": spec["network"]}
    vpcs = aws.all("ec2", "describe_vpcs", "Vpcs", Filters=_build_filters(vpc_filters))
    in_vpc = [item for item in endpoints if vpcs and item["VpcId"] == vpcs[0]["VpcId"]]
    if not in_vpc:
        return None
    endpoint = next((item for item in in_vpc if _is_ours(scope, name, item)), in_vpc[0])
    if not scope.owns(from_aws_tags(endpoint.get("Tags"))):
        return _build_foreign_live(scope, endpoint, spec)
    route_tables = aws.all(
        "ec2", "describe_route_tables", "RouteTables", Filters=_build_filters({"vpc-id": endpoint["VpcId"]})
    )
    attached_table_ids = set(endpoint.get("RouteTableIds", []))
    return _build_live(
        endpoint,
        is_complete=attached_table_ids >= {table["RouteTableId"] for table in route_tables},
        network=spec["network"],
    )


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the names of the environment's endpoints; the tagging API lists only ids."""
    for endpoint in _list_gateway_endpoints(aws, scope):
        tags = from_aws_tags(endpoint.get("Tags"))
        if scope.owns(tags):
            yield tags.get("Name", f"{scope.name_prefix}-s3")


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the endpoint in one call; an endpoint created by another process in the meantime is used as well."""
    tags = to_aws_tags({**spec["tags"], "Name": name})
    request = {
        "VpcEndpointType": "Gateway",
        "VpcId": spec["vpc"].value,
        "ServiceName": _service_name(scope),
        "RouteTableIds": spec["route_tables"].value,
        "TagSpecifications": [{"ResourceType": "vpc-endpoint", "Tags": tags}],
    }
    yield ApiCall("ec2", "create_vpc_endpoint", request, ok_codes=("RouteAlreadyExists",))
    return {}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Add new route tables and update tags."""
    endpoint_id = live.outputs["id"]
    if "complete" in changed:
        attached_table_ids = live.private["route_tables"]
        missing = [table for table in spec["route_tables"].value if table not in attached_table_ids]
        yield ApiCall("ec2", "modify_vpc_endpoint", {"VpcEndpointId": endpoint_id, "AddRouteTableIds": missing})
    if "tags" in changed:
        yield ApiCall("ec2", "create_tags", {"Resources": [endpoint_id], "Tags": to_aws_tags(spec["tags"])})
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the endpoint if it belongs to the environment; keep another owner's."""
    if not live.private.get("theirs"):
        endpoint_id = live.outputs["id"]
        yield ApiCall("ec2", "delete_vpc_endpoints", {"VpcEndpointIds": [endpoint_id]}, ok_codes=NOT_FOUND_CODES)
        listing = ApiCall(
            "ec2", "describe_vpc_endpoints", {"Filters": _build_filters({"vpc-endpoint-id": endpoint_id})}
        )
        yield Wait(
            listing,
            "VpcEndpoints[0].State || 'deleted'",
            target_values=("deleted",),
            description="the endpoint state",
            timeout_seconds=300,
        )
    return {}


def _list_gateway_endpoints(aws: AwsReader, scope: Scope) -> list[Any]:
    filters = _build_filters({"service-name": _service_name(scope), "vpc-endpoint-type": "Gateway"})
    endpoints = aws.all("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=filters)
    return [item for item in endpoints if str(item.get("State", "available")).lower() not in INACTIVE_STATES]


def _service_name(scope: Scope) -> str:
    return f"com.amazonaws.{scope.region}.s3"


def _is_ours(scope: Scope, name: str, endpoint: Any) -> bool:
    tags = from_aws_tags(endpoint.get("Tags"))
    return scope.owns(tags) and tags.get("Name", name) == name


def _build_live(endpoint: Any, *, is_complete: bool, network: Value = None) -> LiveResource:
    tags = from_aws_tags(endpoint.get("Tags"))
    is_available = str(endpoint.get("State", "available")).lower() == "available"
    return LiveResource(
        {"network": network, "complete": is_complete, "tags": tags},
        {"id": endpoint["VpcEndpointId"]},
        {"route_tables": endpoint.get("RouteTableIds", [])},
        health=Health.HEALTHY if is_available else Health.PROGRESSING,
        **parse_ownership(tags),
    )


def _build_foreign_live(scope: Scope, endpoint: Any, spec: Mapping[str, Value]) -> LiveResource:
    return LiveResource(
        {"network": spec["network"], "complete": True, "tags": spec.get("tags", {})},
        {"id": endpoint["VpcEndpointId"]},
        {"theirs": True},
        owner=scope.owner,
        status="uses an existing endpoint of another owner",
    )


def _build_filters(values_by_name: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]} for name, value in values_by_name.items()]
