"""Manage security groups. API: EC2 CreateSecurityGroup, Authorize/RevokeSecurityGroupIngress/Egress,
DeleteSecurityGroup.

A rule is ``{protocol, port, source}``; the source is a CIDR block, another group's id, or a prefix list id. If the
manifest declares no ``egress``, AWS's default rule (allow all) is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader
from orchestrator.resources._existing import confirm_existing
from orchestrator.resources._watched import Watched, find_changes
from orchestrator.steps import ApiCall, Steps, Sweep
from orchestrator.values import Unknown, Value, is_known, sort_canonically
from orchestrator.vocabulary import LiveResource, Scope, UnmanagedChange

IMMUTABLE = frozenset({"description", "vpc"})
STATEFUL = False
USES = frozenset({"ec2_vpc"})
ARN = None

NOT_FOUND_CODES = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")
RULE_NOT_FOUND_CODES = ("InvalidPermission.NotFound", *NOT_FOUND_CODES)
ALL_PROTOCOLS = "-1"
INTERFACE_RELEASE_TIMEOUT_SECONDS = 1200.0
"""Seconds for which network interfaces of a deleted database or connector may keep a group in use."""

Rule = Mapping[str, Value]

WATCHED = {
    "rule_descriptions": Watched(
        "[IpPermissions, IpPermissionsEgress][][]"
        ".[UserIdGroupPairs, IpRanges, Ipv6Ranges, PrefixListIds][][].Description",
        "Remove them with `aws ec2 update-security-group-rule-descriptions-ingress`",
    )
}


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with rules sorted and the protocol defaulting to TCP."""
    normalised_rules = {
        key: _normalise_rules(spec[key]) for key in ("ingress", "egress") if isinstance(spec.get(key), list)
    }
    return {**spec, **normalised_rules}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the group from one listing by the environment's prefix, or None.

    Names are unique only within a VPC: of several groups, the environment's own is returned.
    """
    matching = [group for group in _list_by_prefix(aws, scope) if group["GroupName"] == name]
    group = next(
        (item for item in matching if scope.owns(from_aws_tags(item.get("Tags")))), matching[0] if matching else None
    )
    if group is None:
        return None
    tags = from_aws_tags(group.get("Tags"))
    live_spec = {
        "description": group["Description"],
        "vpc": group["VpcId"],
        "ingress": list(_flatten_permissions(group.get("IpPermissions", []))),
        "egress": list(_flatten_permissions(group.get("IpPermissionsEgress", []))),
        "tags": tags,
    }
    live = normalise(live_spec)
    return LiveResource(
        live,
        {"id": group["GroupId"], "name": name},
        unmanaged=(
            *(_find_egress_changes(live["egress"]) if spec and "egress" not in spec else ()),
            *(find_changes(WATCHED, group) if spec else ()),
        ),
        **parse_ownership(tags),
    )


def _find_egress_changes(egress: list[Rule]) -> tuple[UnmanagedChange, ...]:
    """Return the outgoing rules if they are not AWS's own, which allow everything."""
    if not _subtract_rules([ALLOW_ALL_RULE], egress) and len(egress) == 1:
        return ()
    remedy = "AWS's default allows all outgoing traffic; to allow it, run `aws ec2 authorize-security-group-egress`"
    return (UnmanagedChange("egress", [ALLOW_ALL_RULE], egress, remedy),)


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the names of the environment's groups; the tagging API lists only ids."""
    for group in _list_by_prefix(aws, scope):
        if scope.owns(from_aws_tags(group.get("Tags"))):
            yield group["GroupName"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the group with its tags, then its rules.

    A rule that is lost on the way shows as a difference on the next run.
    """
    tags = to_aws_tags({**spec["tags"], "Name": name})
    request = {
        "GroupName": name,
        "Description": spec["description"],
        "VpcId": spec["vpc"],
        "TagSpecifications": [{"ResourceType": "security-group", "Tags": tags}],
    }
    created_spec = {key: spec[key] for key in ("description", "vpc", "tags")}
    response = yield ApiCall(
        "ec2",
        "create_security_group",
        request,
        exists_codes=("InvalidGroup.Duplicate",),
        read_existing=confirm_existing(
            read, scope, name, created_spec, compared=True, to_response=lambda live: {"GroupId": live.outputs["id"]}
        ),
    )
    group_id = response["GroupId"]
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction, []):
            yield _rule_call("authorize", direction, group_id, rule)
    if "egress" in spec:
        for rule in _subtract_rules([ALLOW_ALL_RULE], spec["egress"]):
            yield _rule_call("revoke", "egress", group_id, rule, is_new_group=True)
    return {"id": group_id, "name": name}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Add new rules before removing old ones, so that no connection is interrupted."""
    group_id = live.outputs["id"]
    directions = sorted(changed & {"ingress", "egress"})
    for direction in directions:
        for rule in _subtract_rules(spec[direction], live.spec[direction]):
            yield _rule_call("authorize", direction, group_id, rule)
    for direction in directions:
        for rule in _subtract_rules(live.spec[direction], spec[direction]):
            yield _rule_call("revoke", direction, group_id, rule)
    if "tags" in changed:
        yield ApiCall("ec2", "create_tags", {"Resources": [group_id], "Tags": to_aws_tags(spec["tags"])})
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the group, after revoking rules of the environment's groups that reference it.

    Two groups that reference each other can then both be deleted.
    """
    group_id = live.outputs["id"]
    filters = [{"Name": "ip-permission.group-id", "Values": [group_id]}]
    listing = ApiCall("ec2", "describe_security_groups", {"Filters": filters})
    revoke_operation = "revoke_security_group_ingress"
    yield Sweep(
        listing,
        revoke_operation,
        lambda response: _revoke_references(scope, group_id, response),
        "revoke this environment's rules that reference the group",
    )
    yield ApiCall(
        "ec2",
        "delete_security_group",
        {"GroupId": group_id},
        ok_codes=NOT_FOUND_CODES,
        retry_codes=("DependencyViolation",),
        timeout_seconds=INTERFACE_RELEASE_TIMEOUT_SECONDS,
    )
    return {}


ALLOW_ALL_RULE: Rule = {"protocol": ALL_PROTOCOLS, "port": "all", "source": "0.0.0.0/0"}


def _list_by_prefix(aws: AwsReader, scope: Scope) -> list[Any]:
    filters = [{"Name": "group-name", "Values": [f"{scope.name_prefix}-*"]}]
    return aws.all("ec2", "describe_security_groups", "SecurityGroups", Filters=filters)


def _normalise_rules(rules: list[Rule]) -> list[Rule]:
    return sort_canonically([{"protocol": "tcp", **rule, "port": _normalise_port(rule["port"])} for rule in rules])


def _normalise_port(port: Value) -> Value:
    return port if isinstance(port, Unknown) else str(port)


def _flatten_permissions(permissions: list[Any]) -> Iterator[Rule]:
    """Yield one rule per source; AWS groups sources by port."""
    for permission in permissions:
        low, high = permission.get("FromPort", -1), permission.get("ToPort", -1)
        port = "all" if low in (-1, None) else str(low) if low == high else f"{low}-{high}"
        sources = [
            *(pair["GroupId"] for pair in permission.get("UserIdGroupPairs", [])),
            *(ip_range["CidrIp"] for ip_range in permission.get("IpRanges", [])),
            *(ip_range["CidrIpv6"] for ip_range in permission.get("Ipv6Ranges", [])),
            *(prefix_list["PrefixListId"] for prefix_list in permission.get("PrefixListIds", [])),
        ]
        for source in sources:
            yield {"protocol": permission["IpProtocol"], "port": port, "source": source}


def _build_permission(rule: Rule) -> dict[str, Value]:
    permission: dict[str, Value] = {"IpProtocol": rule["protocol"]}
    if rule["port"] != "all":
        from_port, _, to_port = str(rule["port"]).partition("-")
        permission |= {"FromPort": int(from_port), "ToPort": int(to_port or from_port)}
    source = rule["source"]
    if isinstance(source, Unknown) or source.startswith("sg-"):
        return {**permission, "UserIdGroupPairs": [{"GroupId": source}]}
    if source.startswith("pl-"):
        return {**permission, "PrefixListIds": [{"PrefixListId": source}]}
    if ":" in source:
        return {**permission, "Ipv6Ranges": [{"CidrIpv6": source}]}
    return {**permission, "IpRanges": [{"CidrIp": source}]}


def _rule_call(action: str, direction: str, group_id: Value, rule: Rule, *, is_new_group: bool = False) -> ApiCall:
    """Return the call that adds or removes a rule. A new group may not be visible yet, which is no deletion."""
    request = {"GroupId": group_id, "IpPermissions": [_build_permission(rule)]}
    operation = f"{action}_security_group_{direction}"
    if action == "authorize":
        return ApiCall(
            "ec2",
            operation,
            request,
            ok_codes=("InvalidPermission.Duplicate",),
            retry_codes=NOT_FOUND_CODES,
            timeout_seconds=60,
        )
    if is_new_group:
        return ApiCall(
            "ec2",
            operation,
            request,
            ok_codes=RULE_NOT_FOUND_CODES[:1],
            retry_codes=NOT_FOUND_CODES,
            timeout_seconds=60,
        )
    return ApiCall("ec2", operation, request, ok_codes=RULE_NOT_FOUND_CODES)


def _subtract_rules(rules: list[Rule], excluded_rules: list[Rule]) -> list[Rule]:
    """Return ``rules`` without ``excluded_rules``; rules with unknown values are never excluded."""
    known_excluded = [excluded for excluded in excluded_rules if is_known(excluded)]
    return [rule for rule in rules if not is_known(rule) or rule not in known_excluded]


def _revoke_references(scope: Scope, group_id: str, response: Any) -> ApiCall | None:
    for referencing_group in response.get("SecurityGroups", []):
        rules = [
            rule
            for rule in _flatten_permissions(referencing_group.get("IpPermissions", []))
            if rule["source"] == group_id
        ]
        if rules and scope.owns(from_aws_tags(referencing_group.get("Tags"))):
            request = {
                "GroupId": referencing_group["GroupId"],
                "IpPermissions": [_build_permission(rule) for rule in rules],
            }
            return ApiCall("ec2", "revoke_security_group_ingress", request, ok_codes=RULE_NOT_FOUND_CODES)
    return None
