"""Subnet groups: where a database may live.  API: RDS CreateDBSubnetGroup, ModifyDBSubnetGroup, DeleteDBSubnetGroup."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws, standing_tags
from orchestrator.steps import Call, Steps
from orchestrator.values import Value, canonical
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"ec2_vpc"})
ARN = re.compile(r"arn:aws:rds:[^:]+:\d+:subgrp:(?P<name>.+)")

GONE = ("DBSubnetGroupNotFoundFault", "DBSubnetGroupNotFound")
IN_USE = ("InvalidDBSubnetGroupStateFault",)


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Subnets have no order; while unknown, they have no members either."""
    return {**spec, "subnets": canonical(spec["subnets"])} if isinstance(spec.get("subnets"), list) else spec


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing for all groups, and the tags of this one."""
    groups = aws.all("rds", "describe_db_subnet_groups", "DBSubnetGroups")
    group = next((each for each in groups if each["DBSubnetGroupName"] == name.lower()), None)
    if group is None:
        return None
    arn = group.get("DBSubnetGroupArn") or _arn(scope, name)
    tags = standing_tags(aws, scope, arn, spec.get("tags"), lambda: _tags(aws, arn))
    found = {
        "description": group.get("DBSubnetGroupDescription", ""),
        "subnets": [subnet["SubnetIdentifier"] for subnet in group.get("Subnets", [])],
        "tags": tags,
    }
    return Live(normalise(found), {"name": name, "arn": arn}, **marks(tags))


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    return mapping((aws.get("rds", "list_tags_for_resource", ResourceName=arn, missing=GONE) or {}).get("TagList"))


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """One call."""
    body = {**_body(name, spec), "Tags": pairs(spec["tags"])}
    yield Call("rds", "create_db_subnet_group", body, ok=("DBSubnetGroupAlreadyExists",))
    return {"name": name, "arn": _arn(scope, name)}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Subnets and description go together."""
    if changed & {"subnets", "description"}:
        yield Call("rds", "modify_db_subnet_group", _body(name, spec))
    if "tags" in changed:
        yield Call("rds", "add_tags_to_resource", {"ResourceName": live.outputs["arn"], "Tags": pairs(spec["tags"])})
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """RDS refuses while an instance is going from it."""
    body = {"DBSubnetGroupName": name}
    yield Call("rds", "delete_db_subnet_group", body, ok=GONE, retry=IN_USE, patience=600)
    return {}


def _body(name: str, spec: Mapping[str, Value]) -> dict[str, Value]:
    return {
        "DBSubnetGroupName": name,
        "DBSubnetGroupDescription": spec["description"],
        "SubnetIds": spec["subnets"],
    }


def _arn(scope: Scope, name: str) -> str:
    return f"arn:aws:rds:{scope.region}:{scope.account}:subgrp:{name}"
