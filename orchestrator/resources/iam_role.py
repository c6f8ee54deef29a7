"""IAM roles with one inline policy.  API: IAM CreateRole, PutRolePolicy, AttachRolePolicy, TagRole.

Roles live under the environment's path, so that one listing finds all of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.model import Live, Scope
from orchestrator.resources import Aws
from orchestrator.steps import Call, Steps, Sweep
from orchestrator.tags import mapping, marks, pairs
from orchestrator.values import Value, canonical, to_json

IMMUTABLE = frozenset({"path"})
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

POLICY = "orchestrator"
GONE = ("NoSuchEntity",)
BUSY = ("ConcurrentModification",)


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Attached policies have no order; documents are compared as AWS stores them."""
    return {**spec, "attached": canonical(spec.get("attached", []))}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """GetRole gives the trust policy, path and tags; the policies are two further reads."""
    answer = aws.get("iam", "get_role", RoleName=name, missing=GONE)
    if answer is None:
        return None
    role = answer["Role"]
    tags = mapping(role.get("Tags"))
    found = {"path": role["Path"], "trust": role["AssumeRolePolicyDocument"], "tags": tags}
    if "policy" in spec:
        inline = aws.get("iam", "get_role_policy", RoleName=name, PolicyName=POLICY, missing=GONE)
        found["policy"] = inline["PolicyDocument"] if inline else None
    if "attached" in spec:
        policies = aws.all("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name, missing=GONE)
        found["attached"] = canonical([policy["PolicyArn"] for policy in policies])
    return Live(found, {"arn": role["Arn"], "name": name}, **marks(tags))


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """The tagging API knows no roles; their path does."""
    for role in aws.all("iam", "list_roles", "Roles", PathPrefix=scope.path):
        yield role["RoleName"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """The role, then what it may do; new roles take seconds until services may assume them."""
    yield Call(
        "iam",
        "create_role",
        {
            "RoleName": name,
            "Path": spec["path"],
            "AssumeRolePolicyDocument": to_json(spec["trust"]),
            "Tags": pairs(spec["tags"]),
        },
        ok=("EntityAlreadyExists",),
        retry=BUSY,
    )
    yield from _policies(name, spec, frozenset({"policy", "attached"}), [])
    return {"arn": f"arn:aws:iam::{scope.account}:role{spec['path']}{name}", "name": name}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """One call an aspect that differs."""
    if "trust" in changed:
        yield Call(
            "iam", "update_assume_role_policy", {"RoleName": name, "PolicyDocument": to_json(spec["trust"])}, retry=BUSY
        )
    if "tags" in changed:
        yield Call("iam", "tag_role", {"RoleName": name, "Tags": pairs(spec["tags"])}, retry=BUSY)
    yield from _policies(name, spec, changed, live.spec.get("attached", []))
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """IAM refuses to delete a role that still has policies."""
    listing = Call("iam", "list_attached_role_policies", {"RoleName": name}, ok=GONE)
    yield Sweep(listing, lambda answer: _detach_one(name, answer), "detach every policy")
    yield Call("iam", "delete_role_policy", {"RoleName": name, "PolicyName": POLICY}, ok=GONE)
    yield Call("iam", "delete_role", {"RoleName": name}, ok=GONE, retry=(*BUSY, "DeleteConflict"))
    return {}


def _policies(name: str, spec: Mapping[str, Value], changed: frozenset[str], attached: list[Any]) -> Steps:
    if "policy" in changed:
        if spec.get("policy"):
            document = to_json(spec["policy"])
            body = {"RoleName": name, "PolicyName": POLICY, "PolicyDocument": document}
            yield Call("iam", "put_role_policy", body, retry=BUSY)
        else:
            yield Call("iam", "delete_role_policy", {"RoleName": name, "PolicyName": POLICY}, ok=GONE, retry=BUSY)
    if "attached" in changed:
        for arn in spec["attached"]:
            if arn not in attached:
                yield Call("iam", "attach_role_policy", {"RoleName": name, "PolicyArn": arn}, retry=BUSY)
        for arn in attached:
            if arn not in spec["attached"]:
                yield Call("iam", "detach_role_policy", {"RoleName": name, "PolicyArn": arn}, ok=GONE, retry=BUSY)
    return {}


def _detach_one(name: str, listed: Any) -> Call | None:
    attached = listed.get("AttachedPolicies")
    if not attached:
        return None
    body = {"RoleName": name, "PolicyArn": attached[0]["PolicyArn"]}
    return Call("iam", "detach_role_policy", body, ok=GONE, retry=BUSY)
