"""Manage App Runner VPC connectors. API: App Runner CreateVpcConnector, DeleteVpcConnector.

A connector is immutable and has one revision per name: a change creates a new connector with the next number (``NAME``,
``NAME_2``, ``NAME_3``), and the service that switches to it deletes the previous one. ``NAME`` refers to the highest
number; a lower one that no service uses (left by a killed run) is discovered as ``NAME/NAME_2`` and pruned. Manifest
names contain no underscore, so a number cannot be mistaken for another component.

App Runner allows one connector for each combination of security groups (pulumi-aws issue 5364). While a service moves,
two exist; so every other connector also has ``alternate_group``, which opens nothing, and names it in a tag.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader, read_ownership, read_tags
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value, WriteOnly, sort_canonically
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"ec2_vpc", "ec2_security_group"})
ARN = None

NOT_FOUND_CODES = ("ResourceNotFoundException",)
IN_USE_CODES = ("InvalidRequestException",)
ALTERNATE_TAG = "orchestrator:alternate-group"
DELETION_TIMEOUT_SECONDS = 1200.0
"""App Runner calls a connector in use for minutes after its service went (apprunner-roadmap issue 161)."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with subnets and security groups sorted, unless they are still unknown."""
    sorted_fields = {
        key: sort_canonically(spec[key]) for key in ("subnets", "security_groups") if isinstance(spec.get(key), list)
    }
    return {**spec, **sorted_fields}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the newest connector of a family, or the one that ``name`` specifies, or None."""
    family, _, connector_name = name.partition("/")
    connectors = _list_connectors(aws).get(family, [])
    matching = [item for item in connectors if item["VpcConnectorName"] == connector_name or not connector_name]
    if not matching:
        return None
    connector = matching[-1]
    arn = connector["VpcConnectorArn"]
    tags = read_tags(aws, scope, arn, spec.get("tags"), lambda: _fetch_tags(aws, arn))
    alternate_group = tags.get(ALTERNATE_TAG)
    live_spec = {
        "subnets": connector.get("Subnets", []),
        "security_groups": [group for group in connector.get("SecurityGroups", []) if group != alternate_group],
        "tags": {key: value for key, value in tags.items() if key != ALTERNATE_TAG},
    }
    arns = [item["VpcConnectorArn"] for item in reversed(matching)]
    is_idle = len(connectors) > 1 and arn not in _list_used_arns(aws, family)
    private = {
        "arns": arns,
        "number": _family_number(connector["VpcConnectorName"]),
        "is_idle": is_idle,
        "has_alternate": alternate_group is not None,
    }
    return LiveResource(normalise(live_spec), {"arn": arn}, private, **parse_ownership(tags))


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the environment's connectors by their tags: each family's newest, and older ones that no service uses."""
    for family, connectors in _list_connectors(aws).items():
        if not family.startswith(scope.name_prefix[:20]):  # saves a tag lookup for resources of others
            continue
        newest = connectors[-1]
        used_arns = _list_used_arns(aws, family) if len(connectors) > 1 else frozenset()
        for item in connectors:
            if item is not newest and item["VpcConnectorArn"] in used_arns:
                continue
            if _read_owner(aws, scope, item["VpcConnectorArn"]) == scope.owner:
                yield family if item is newest else f"{family}/{item['VpcConnectorName']}"


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the first connector of a family."""
    return (yield from _create_connector(name, spec, has_alternate=False))


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Create a connector with the next number for a changed network; for changed tags alone, tag the current one.

    The service deletes the connector it leaves. A connector that it never used (a deployment failed) is deleted here,
    first: its combination of security groups is the one that is free.
    """
    arn = live.outputs["arn"]
    if changed <= {"tags"}:
        yield ApiCall("apprunner", "tag_resource", {"ResourceArn": arn, "Tags": to_aws_tags(spec["tags"])})
        return {}
    has_alternate = bool(live.private.get("has_alternate"))
    if live.private["is_idle"]:
        yield _delete_call(arn)
    else:
        has_alternate = not has_alternate
    new_name = f"{name}_{live.private['number'] + 1}"
    return (yield from _create_connector(new_name, spec, has_alternate=has_alternate))


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete a whole family, or one leftover. App Runner refuses while a service being deleted still uses it."""
    for arn in live.private["arns"]:
        yield _delete_call(arn)
    return {}


def _delete_call(arn: str) -> ApiCall:
    return ApiCall(
        "apprunner",
        "delete_vpc_connector",
        {"VpcConnectorArn": arn},
        ok_codes=NOT_FOUND_CODES,
        retry_codes=IN_USE_CODES,
        timeout_seconds=DELETION_TIMEOUT_SECONDS,
    )


def _create_connector(name: str, spec: Mapping[str, Value], *, has_alternate: bool) -> Steps:
    alternate = spec.get("alternate_group")
    added_groups = [alternate.value] if has_alternate and isinstance(alternate, WriteOnly) else []
    added_tags = {ALTERNATE_TAG: added_groups[0]} if added_groups else {}
    request = {
        "VpcConnectorName": name,
        "Subnets": spec["subnets"],
        "SecurityGroups": [*spec["security_groups"], *added_groups],
        "Tags": to_aws_tags({**spec["tags"], **added_tags}),
    }
    response = yield ApiCall("apprunner", "create_vpc_connector", request)
    return {"arn": response["VpcConnector"]["VpcConnectorArn"]}


def _list_connectors(aws: AwsReader) -> Mapping[str, list[Mapping[str, Any]]]:
    """Return every active connector of the account by family, the highest number last."""
    by_family: dict[str, list[Mapping[str, Any]]] = {}
    for item in aws.all("apprunner", "list_vpc_connectors", "VpcConnectors"):
        if item.get("Status", "ACTIVE") == "ACTIVE":
            by_family.setdefault(_family_name(item["VpcConnectorName"]), []).append(item)
    return {
        name: sorted(items, key=lambda item: _family_number(item["VpcConnectorName"]))
        for name, items in by_family.items()
    }


def _list_used_arns(aws: AwsReader, family: str) -> frozenset[str]:
    """Return the ARNs of the connectors that the family's service uses; the two share a name.

    No role may describe the services of others: their environment variables can hold secrets.
    """
    services = [
        aws.get("apprunner", "describe_service", ServiceArn=item["ServiceArn"], missing=NOT_FOUND_CODES)
        for item in aws.all("apprunner", "list_services", "ServiceSummaryList")
        if item["ServiceName"] == family
    ]
    egress = [
        response["Service"]["NetworkConfiguration"].get("EgressConfiguration", {}) for response in services if response
    ]
    return frozenset(item["VpcConnectorArn"] for item in egress if item.get("VpcConnectorArn"))


def _family_name(name: str) -> str:
    family, _, number = name.rpartition("_")
    return family if family and number.isdigit() else name


def _family_number(name: str) -> int:
    _, _, number = name.rpartition("_")
    return int(number) if _family_name(name) != name else 1


def _read_owner(aws: AwsReader, scope: Scope, arn: str) -> str | None:
    return read_ownership(aws, scope, arn, lambda: _fetch_tags(aws, arn))["owner"]


def _fetch_tags(aws: AwsReader, arn: str) -> dict[str, str]:
    return from_aws_tags(
        aws.all("apprunner", "list_tags_for_resource", "Tags", ResourceArn=arn, missing=NOT_FOUND_CODES)
    )
