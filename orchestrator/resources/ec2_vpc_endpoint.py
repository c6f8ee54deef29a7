"""The free gateway endpoint through which S3 is reached from inside a VPC.  API: EC2 Create/ModifyVpcEndpoint.

A VPC routes to a service by one gateway endpoint only.  One that somebody else has made serves as well: it is
reported as being what was asked for, and is never changed or deleted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws
from orchestrator.steps import Call, Steps, Wait
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import Health, Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"ec2_vpc"})
ARN = None

GONE = ("InvalidVpcEndpointId.NotFound",)
DEAD = ("deleting", "deleted", "rejected", "expired")
WRITTEN = ("vpc", "route_tables")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """The VPC and its route tables are found anew on each read: what is compared is whether all of them are served."""
    written = {
        key: spec[key] if isinstance(spec[key], WriteOnly) else WriteOnly(spec[key]) for key in WRITTEN if key in spec
    }
    return {"complete": True, **spec, **written}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """The gateway endpoints of S3; then, as for the VPC, which VPC and which route tables."""
    endpoints = _gateways(aws, scope)
    if not spec:
        mine = [one for one in endpoints if _is_ours(scope, name, one)]
        return _live(mine[0], complete=True) if mine else None
    which = {"is-default": "true"} if spec["network"] == "default" else {"vpc-id": spec["network"]}
    vpcs = aws.all("ec2", "describe_vpcs", "Vpcs", Filters=_filters(which))
    inside = [one for one in endpoints if vpcs and one["VpcId"] == vpcs[0]["VpcId"]]
    if not inside:
        return None
    endpoint = next((one for one in inside if _is_ours(scope, name, one)), inside[0])
    if not scope.owns(mapping(endpoint.get("Tags"))):
        return _theirs(scope, endpoint, spec)
    tables = aws.all("ec2", "describe_route_tables", "RouteTables", Filters=_filters({"vpc-id": endpoint["VpcId"]}))
    served = set(endpoint.get("RouteTableIds", []))
    return _live(endpoint, complete=served >= {table["RouteTableId"] for table in tables}, network=spec["network"])


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """The tagging API gives ids; the name is what we go by."""
    for endpoint in _gateways(aws, scope):
        tags = mapping(endpoint.get("Tags"))
        if scope.owns(tags):
            yield tags.get("Name", f"{scope.prefix}-s3")


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """One call; an endpoint that came into being meanwhile serves as well."""
    tags = pairs({**spec["tags"], "Name": name})
    body = {
        "VpcEndpointType": "Gateway",
        "VpcId": spec["vpc"].value,
        "ServiceName": _service(scope),
        "RouteTableIds": spec["route_tables"].value,
        "TagSpecifications": [{"ResourceType": "vpc-endpoint", "Tags": tags}],
    }
    yield Call("ec2", "create_vpc_endpoint", body, ok=("RouteAlreadyExists",))
    return {}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Route tables that came later, and tags."""
    endpoint = live.outputs["id"]
    if "complete" in changed:
        served = live.private["route_tables"]
        missing = [table for table in spec["route_tables"].value if table not in served]
        yield Call("ec2", "modify_vpc_endpoint", {"VpcEndpointId": endpoint, "AddRouteTableIds": missing})
    if "tags" in changed:
        yield Call("ec2", "create_tags", {"Resources": [endpoint], "Tags": pairs(spec["tags"])})
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Ours goes; somebody else's stays."""
    if not live.private.get("theirs"):
        endpoint = live.outputs["id"]
        yield Call("ec2", "delete_vpc_endpoints", {"VpcEndpointIds": [endpoint]}, ok=GONE)
        listing = Call("ec2", "describe_vpc_endpoints", {"Filters": _filters({"vpc-endpoint-id": endpoint})})
        yield Wait(listing, "VpcEndpoints[0].State || 'deleted'", until=("deleted",), what="its state", patience=300)
    return {}


def _gateways(aws: Aws, scope: Scope) -> list[Any]:
    where = _filters({"service-name": _service(scope), "vpc-endpoint-type": "Gateway"})
    found = aws.all("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=where)
    return [one for one in found if str(one.get("State", "available")).lower() not in DEAD]


def _service(scope: Scope) -> str:
    return f"com.amazonaws.{scope.region}.s3"


def _is_ours(scope: Scope, name: str, endpoint: Any) -> bool:
    tags = mapping(endpoint.get("Tags"))
    return scope.owns(tags) and tags.get("Name", name) == name


def _live(endpoint: Any, *, complete: bool, network: Value = None) -> Live:
    tags = mapping(endpoint.get("Tags"))
    healthy = str(endpoint.get("State", "available")).lower() == "available"
    return Live(
        {"network": network, "complete": complete, "tags": tags},
        {"id": endpoint["VpcEndpointId"]},
        {"route_tables": endpoint.get("RouteTableIds", [])},
        health=Health.HEALTHY if healthy else Health.PROGRESSING,
        **marks(tags),
    )


def _theirs(scope: Scope, endpoint: Any, spec: Mapping[str, Value]) -> Live:
    return Live(
        {"network": spec["network"], "complete": True, "tags": spec.get("tags", {})},
        {"id": endpoint["VpcEndpointId"]},
        {"theirs": True},
        owner=scope.owner,
        status="somebody else's endpoint serves",
    )


def _filters(wanted: Mapping[str, Value]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]} for name, value in wanted.items()]
