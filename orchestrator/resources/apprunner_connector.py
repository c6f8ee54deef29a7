"""How an App Runner service reaches a VPC.  API: App Runner CreateVpcConnector, DeleteVpcConnector.

A connector cannot be changed and has one revision a name: a change is a new connector under the next number
(``NAME``, ``NAME_2``, ``NAME_3``), and the service that moves to it deletes the one it left.  ``NAME`` stands for the
highest number there is; a lower one that no service uses any more (a run was killed in between) is found as
``NAME/NAME_2`` and pruned.  Manifest names hold no underscore, so numbers cannot be mistaken for other components.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws, standing_marks, standing_tags
from orchestrator.steps import Call, Steps
from orchestrator.values import Value, canonical
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"ec2_vpc", "ec2_security_group"})
ARN = None

GONE = ("ResourceNotFoundException",)
IN_USE = ("InvalidRequestException",)


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Subnets and security groups have no order; while unknown, they have no members either."""
    sets = {key: canonical(spec[key]) for key in ("subnets", "security_groups") if isinstance(spec.get(key), list)}
    return {**spec, **sets}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing for all, with their subnets and groups; then the tags of the one."""
    family, _, member = name.partition("/")
    connectors = _connectors(aws).get(family, [])
    found = [one for one in connectors if one["VpcConnectorName"] == member or not member]
    if not found:
        return None
    connector = found[-1]
    arn = connector["VpcConnectorArn"]
    tags = standing_tags(aws, scope, arn, spec.get("tags"), lambda: _tags(aws, arn))
    live = {
        "subnets": connector.get("Subnets", []),
        "security_groups": connector.get("SecurityGroups", []),
        "tags": tags,
    }
    arns = [one["VpcConnectorArn"] for one in reversed(found)]
    is_idle = len(connectors) > 1 and arn not in _used(aws)
    private = {"arns": arns, "number": _number(connector["VpcConnectorName"]), "is_idle": is_idle}
    return Live(normalise(live), {"arn": arn}, private, **marks(tags))


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """Ours, by their tags: each family's newest, and of each the older ones that nothing uses."""
    for family, connectors in _connectors(aws).items():
        if not family.startswith(scope.prefix[:20]):  # others' are not asked for their tags
            continue
        newest = connectors[-1]
        used = _used(aws) if len(connectors) > 1 else frozenset()
        for one in connectors:
            if one is not newest and one["VpcConnectorArn"] in used:
                continue
            if _owner(aws, scope, one["VpcConnectorArn"]) == scope.owner:
                yield family if one is newest else f"{family}/{one['VpcConnectorName']}"


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """The first of its family."""
    return (yield from _create(name, spec))


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Another network is a new connector under the next number; tags alone are laid on the one there is.

    The service deletes the connector it leaves; one that it never came to use (a deployment failed) is deleted here.
    """
    arn = live.outputs["arn"]
    if changed <= {"tags"}:
        yield Call("apprunner", "tag_resource", {"ResourceArn": arn, "Tags": pairs(spec["tags"])})
        return {}
    outputs = yield from _create(f"{name}_{live.private['number'] + 1}", spec)
    if live.private["is_idle"]:
        yield _delete(arn)
    return outputs


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """All of a family, or the one leftover.  App Runner refuses while a service that goes still holds it."""
    for arn in live.private["arns"]:
        yield _delete(arn)
    return {}


def _delete(arn: str) -> Call:
    return Call("apprunner", "delete_vpc_connector", {"VpcConnectorArn": arn}, ok=GONE, retry=IN_USE)


def _create(name: str, spec: Mapping[str, Value]) -> Steps:
    body = {
        "VpcConnectorName": name,
        "Subnets": spec["subnets"],
        "SecurityGroups": spec["security_groups"],
        "Tags": pairs(spec["tags"]),
    }
    answer = yield Call("apprunner", "create_vpc_connector", body)
    return {"arn": answer["VpcConnector"]["VpcConnectorArn"]}


def _connectors(aws: Aws) -> Mapping[str, list[Mapping[str, Any]]]:
    """Every active connector of the account, by family, the highest number last."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in aws.all("apprunner", "list_vpc_connectors", "VpcConnectors"):
        if one.get("Status", "ACTIVE") == "ACTIVE":
            found.setdefault(_family(one["VpcConnectorName"]), []).append(one)
    return {name: sorted(each, key=lambda one: _number(one["VpcConnectorName"])) for name, each in found.items()}


def _used(aws: Aws) -> frozenset[str]:
    """ARNs of the connectors that services use."""
    services = [
        aws.get("apprunner", "describe_service", ServiceArn=one["ServiceArn"], missing=GONE)
        for one in aws.all("apprunner", "list_services", "ServiceSummaryList")
    ]
    egress = [answer["Service"]["NetworkConfiguration"].get("EgressConfiguration", {}) for answer in services if answer]
    return frozenset(one["VpcConnectorArn"] for one in egress if one.get("VpcConnectorArn"))


def _family(name: str) -> str:
    family, _, number = name.rpartition("_")
    return family if family and number.isdigit() else name


def _number(name: str) -> int:
    _, _, number = name.rpartition("_")
    return int(number) if _family(name) != name else 1


def _owner(aws: Aws, scope: Scope, arn: str) -> str | None:
    return standing_marks(aws, scope, arn, lambda: _tags(aws, arn))["owner"]


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    return mapping(aws.all("apprunner", "list_tags_for_resource", "Tags", ResourceArn=arn, missing=GONE))
