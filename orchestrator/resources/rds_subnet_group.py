"""Manage subnet groups of databases. API: RDS CreateDBSubnetGroup, ModifyDBSubnetGroup, DeleteDBSubnetGroup; IAM
CreateServiceLinkedRole.

In an account that never had RDS, CreateDBSubnetGroup needs RDS's service-linked role and does not create it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader, read_tags
from orchestrator.resources._existing import confirm_existing
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value, sort_canonically
from orchestrator.vocabulary import FieldChange, LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"ec2_vpc"})
ARN = re.compile(r"arn:aws:rds:[^:]+:\d+:subgrp:(?P<name>.+)")

NOT_FOUND_CODES = ("DBSubnetGroupNotFoundFault", "DBSubnetGroupNotFound")
IN_USE_CODES = ("InvalidDBSubnetGroupStateFault",)
LINKED_ROLE_EXISTS_CODES = ("InvalidInput", "AccessDenied")
"""Errors of CreateServiceLinkedRole after which the group is tried: the role exists, or nobody here may create it."""
SERVICE_PRINCIPAL = "rds.amazonaws.com"


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with subnets sorted, unless they are still unknown."""
    return {**spec, "subnets": sort_canonically(spec["subnets"])} if isinstance(spec.get("subnets"), list) else spec


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the group from one listing of all, with its tags, or None."""
    groups = aws.all("rds", "describe_db_subnet_groups", "DBSubnetGroups")
    group = next((item for item in groups if item["DBSubnetGroupName"] == name.lower()), None)
    if group is None:
        return None
    arn = group.get("DBSubnetGroupArn") or _group_arn(scope, name)
    tags = read_tags(aws, scope, arn, spec.get("tags"), lambda: _fetch_tags(aws, arn))
    live_spec = {
        "description": group.get("DBSubnetGroupDescription", ""),
        "subnets": [subnet["SubnetIdentifier"] for subnet in group.get("Subnets", [])],
        "tags": tags,
    }
    private = {"in_use": list(_iter_used_subnets(aws, group))}
    return LiveResource(normalise(live_spec), {"name": name, "arn": arn}, private, **parse_ownership(tags))


def _iter_used_subnets(aws: AwsReader, group: Mapping[str, Any]) -> Iterator[str]:
    """Yield the subnets that a database certainly runs in: those that are the only ones of its zone in the group."""
    instances = [
        instance
        for instance in aws.all("rds", "describe_db_instances", "DBInstances")
        if instance.get("DBSubnetGroup", {}).get("DBSubnetGroupName") == group["DBSubnetGroupName"]
    ]
    zones = {
        instance.get(member) for instance in instances for member in ("AvailabilityZone", "SecondaryAvailabilityZone")
    }
    for zone in sorted(zones - {None}):
        subnets = [item for item in group.get("Subnets", []) if item["SubnetAvailabilityZone"]["Name"] == zone]
        if len(subnets) == 1:
            yield subnets[0]["SubnetIdentifier"]


def _fetch_tags(aws: AwsReader, arn: str) -> dict[str, str]:
    return from_aws_tags(
        (aws.get("rds", "list_tags_for_resource", ResourceName=arn, missing=NOT_FOUND_CODES) or {}).get("TagList")
    )


def refusals(fields: tuple[FieldChange, ...], live: LiveResource) -> Iterator[str]:
    """Yield why RDS would refuse the change: a database runs in a subnet that the group would lose."""
    for field in fields:
        after = field.after if field.path[0] == "subnets" else None
        used = [subnet for subnet in live.private.get("in_use", ()) if isinstance(after, list) and subnet not in after]
        if used:
            yield (
                f"RDS does not remove {', '.join(used)} from the group, because a database runs there. Keep the "
                "subnet in `network.subnets` of the Project, or move the database with a snapshot and a restore."
            )


def effects(fields: tuple[FieldChange, ...], live: LiveResource) -> Iterator[str]:
    """Yield what may become of a database if its group loses a subnet."""
    for field in fields:
        before, after = (value if isinstance(value, list) else [] for value in (field.before, field.after))
        dropped = sorted(str(subnet) for subnet in before if subnet not in after)
        if field.path[0] == "subnets" and dropped:
            yield (
                f"Subnet {', '.join(dropped)} is removed from the group. RDS refuses this while a database runs "
                "in that subnet. In that case, list the subnet in `network.subnets` of the Project, or move the "
                "database with a snapshot and a restore."
            )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create RDS's service-linked role if the account has none, and the group in one call.

    The account's first database creates the role for good; credentials that may not create it need not.
    """
    yield ApiCall(
        "iam",
        "create_service_linked_role",
        {"AWSServiceName": SERVICE_PRINCIPAL},
        ok_codes=LINKED_ROLE_EXISTS_CODES,
    )
    request = {**_build_request(name, spec), "Tags": to_aws_tags(spec["tags"])}
    yield ApiCall(
        "rds",
        "create_db_subnet_group",
        request,
        exists_codes=("DBSubnetGroupAlreadyExists",),
        read_existing=confirm_existing(read, scope, name, spec, compared=True),
    )
    return {"name": name, "arn": _group_arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Update subnets and description together, and tags."""
    if changed & {"subnets", "description"}:
        yield ApiCall("rds", "modify_db_subnet_group", _build_request(name, spec))
    if "tags" in changed:
        yield ApiCall(
            "rds", "add_tags_to_resource", {"ResourceName": live.outputs["arn"], "Tags": to_aws_tags(spec["tags"])}
        )
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the group. RDS refuses while an instance in it is being deleted."""
    request = {"DBSubnetGroupName": name}
    yield ApiCall(
        "rds",
        "delete_db_subnet_group",
        request,
        ok_codes=NOT_FOUND_CODES,
        retry_codes=IN_USE_CODES,
        timeout_seconds=600,
    )
    return {}


def _build_request(name: str, spec: Mapping[str, Value]) -> dict[str, Value]:
    return {
        "DBSubnetGroupName": name,
        "DBSubnetGroupDescription": spec["description"],
        "SubnetIds": spec["subnets"],
    }


def _group_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:rds:{scope.region}:{scope.account}:subgrp:{name}"
