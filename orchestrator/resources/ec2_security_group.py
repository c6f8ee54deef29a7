"""Security groups.  API: EC2 CreateSecurityGroup, Authorize/RevokeSecurityGroupIngress/Egress, DeleteSecurityGroup.

A rule is ``{protocol, port, source}``: the source is a CIDR block, another group's id, or a prefix list's.
Without ``egress`` in the manifest AWS's own (everything, everywhere) is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws
from orchestrator.steps import Call, Steps, Sweep, Wait
from orchestrator.values import Unknown, Value, canonical, is_known
from orchestrator.vocabulary import Live, Scope

IMMUTABLE = frozenset({"description", "vpc"})
STATEFUL = False
USES = frozenset({"ec2_vpc"})
ARN = None

GONE = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")
NO_RULE = ("InvalidPermission.NotFound", *GONE)
ALL = "-1"
LINGERING = 1200.0
"""Seconds that the network interfaces of a deleted database or connector may hold on to a group."""

Rule = Mapping[str, Value]


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Rules are a set; TCP is meant where nothing is said."""
    rules = {key: _rules(spec[key]) for key in ("ingress", "egress") if isinstance(spec.get(key), list)}
    return {**spec, **rules}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing by the environment's prefix for all groups.

    Names are unique in a VPC only: of several, ours is meant.
    """
    named = [group for group in _ours_by_name(aws, scope) if group["GroupName"] == name]
    group = next((one for one in named if scope.owns(mapping(one.get("Tags")))), named[0] if named else None)
    if group is None:
        return None
    tags = mapping(group.get("Tags"))
    found = {
        "description": group["Description"],
        "vpc": group["VpcId"],
        "ingress": list(_flat(group.get("IpPermissions", []))),
        "egress": list(_flat(group.get("IpPermissionsEgress", []))),
        "tags": tags,
    }
    return Live(normalise(found), {"id": group["GroupId"], "name": name}, **marks(tags))


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """The tagging API gives ids; the name is what we go by."""
    for group in _ours_by_name(aws, scope):
        if scope.owns(mapping(group.get("Tags"))):
            yield group["GroupName"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """The group with its marks, then its rules; a rule that is lost on the way is a difference on the next run."""
    tags = pairs({**spec["tags"], "Name": name})
    body = {
        "GroupName": name,
        "Description": spec["description"],
        "VpcId": spec["vpc"],
        "TagSpecifications": [{"ResourceType": "security-group", "Tags": tags}],
    }
    yield Call("ec2", "create_security_group", body, ok=("InvalidGroup.Duplicate",))
    where = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [spec["vpc"]]}]
    listing = Call("ec2", "describe_security_groups", {"Filters": where})
    seen = yield Wait(listing, "SecurityGroups[0].GroupName", until=(name,), patience=60, what="its name")
    group = seen["SecurityGroups"][0]["GroupId"]
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction, []):
            yield _change("authorize", direction, group, rule)
    if "egress" in spec:
        for rule in _without([EVERYTHING], spec["egress"]):
            yield _change("revoke", "egress", group, rule)
    return {"id": group, "name": name}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """New rules before old ones go, so that nobody is cut off in between."""
    group = live.outputs["id"]
    directions = sorted(changed & {"ingress", "egress"})
    for direction in directions:
        for rule in _without(spec[direction], live.spec[direction]):
            yield _change("authorize", direction, group, rule)
    for direction in directions:
        for rule in _without(live.spec[direction], spec[direction]):
            yield _change("revoke", direction, group, rule)
    if "tags" in changed:
        yield Call("ec2", "create_tags", {"Resources": [group], "Tags": pairs(spec["tags"])})
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """First our other groups' rules that name it, so that two which name each other can both go."""
    group = live.outputs["id"]
    where = [{"Name": "ip-permission.group-id", "Values": [group]}]
    listing = Call("ec2", "describe_security_groups", {"Filters": where})
    revoking = "revoke_security_group_ingress"
    yield Sweep(listing, revoking, lambda answer: _let_go(scope, group, answer), "revoke our rules that name it")
    yield Call(
        "ec2", "delete_security_group", {"GroupId": group}, ok=GONE, retry=("DependencyViolation",), patience=LINGERING
    )
    return {}


EVERYTHING: Rule = {"protocol": ALL, "port": "all", "source": "0.0.0.0/0"}


def _ours_by_name(aws: Aws, scope: Scope) -> list[Any]:
    where = [{"Name": "group-name", "Values": [f"{scope.prefix}-*"]}]
    return aws.all("ec2", "describe_security_groups", "SecurityGroups", Filters=where)


def _rules(rules: list[Rule]) -> list[Rule]:
    return canonical([{"protocol": "tcp", **rule, "port": _port(rule["port"])} for rule in rules])


def _port(port: Value) -> Value:
    return port if isinstance(port, Unknown) else str(port)


def _flat(permissions: list[Any]) -> Iterator[Rule]:
    """AWS groups sources by port; here each is a rule."""
    for permission in permissions:
        low, high = permission.get("FromPort", -1), permission.get("ToPort", -1)
        port = "all" if low in (-1, None) else str(low) if low == high else f"{low}-{high}"
        sources = [
            *(pair["GroupId"] for pair in permission.get("UserIdGroupPairs", [])),
            *(block["CidrIp"] for block in permission.get("IpRanges", [])),
            *(block["CidrIpv6"] for block in permission.get("Ipv6Ranges", [])),
            *(entry["PrefixListId"] for entry in permission.get("PrefixListIds", [])),
        ]
        for source in sources:
            yield {"protocol": permission["IpProtocol"], "port": port, "source": source}


def _permission(rule: Rule) -> dict[str, Value]:
    permission: dict[str, Value] = {"IpProtocol": rule["protocol"]}
    if rule["port"] != "all":
        low, _, high = str(rule["port"]).partition("-")
        permission |= {"FromPort": int(low), "ToPort": int(high or low)}
    source = rule["source"]
    if isinstance(source, Unknown) or source.startswith("sg-"):
        return {**permission, "UserIdGroupPairs": [{"GroupId": source}]}
    if source.startswith("pl-"):
        return {**permission, "PrefixListIds": [{"PrefixListId": source}]}
    if ":" in source:
        return {**permission, "Ipv6Ranges": [{"CidrIpv6": source}]}
    return {**permission, "IpRanges": [{"CidrIp": source}]}


def _change(verb: str, direction: str, group: Value, rule: Rule) -> Call:
    body = {"GroupId": group, "IpPermissions": [_permission(rule)]}
    operation = f"{verb}_security_group_{direction}"
    if verb == "authorize":
        return Call("ec2", operation, body, ok=("InvalidPermission.Duplicate",), retry=GONE, patience=60)
    return Call("ec2", operation, body, ok=NO_RULE)


def _without(rules: list[Rule], others: list[Rule]) -> list[Rule]:
    """``rules`` that are not among ``others``; what is not known yet is among nothing."""
    known = [other for other in others if is_known(other)]
    return [rule for rule in rules if not is_known(rule) or rule not in known]


def _let_go(scope: Scope, group: str, listed: Any) -> Call | None:
    for holder in listed.get("SecurityGroups", []):
        rules = [rule for rule in _flat(holder.get("IpPermissions", [])) if rule["source"] == group]
        if rules and scope.owns(mapping(holder.get("Tags"))):
            body = {"GroupId": holder["GroupId"], "IpPermissions": [_permission(rule) for rule in rules]}
            return Call("ec2", "revoke_security_group_ingress", body, ok=NO_RULE)
    return None
