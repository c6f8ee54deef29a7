"""IAM roles with one inline policy.  API: IAM CreateRole, PutRolePolicy, AttachRolePolicy, TagRole,
PutRolePermissionsBoundary.

Roles live under the environment's path, so that one listing finds all of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws
from orchestrator.steps import Call, Steps, Sweep
from orchestrator.values import Value, canonical, to_json
from orchestrator.vocabulary import Live, Scope

IMMUTABLE = frozenset({"path"})
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

POLICY = "orchestrator"
GONE = ("NoSuchEntity",)
BUSY = ("ConcurrentModification",)
NOT_SEEN_YET = (*BUSY, *GONE)
SETS = ("Action", "NotAction", "Resource", "NotResource")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Attached policies have no order, and documents are compared by what they mean."""
    documents = {key: _document(spec[key]) for key in ("trust", "policy") if key in spec}
    return {**spec, **documents, "attached": canonical(spec.get("attached", []))}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """GetRole gives the trust policy, path and tags; the policies are two further reads."""
    answer = aws.get("iam", "get_role", RoleName=name, missing=GONE)
    if answer is None:
        return None
    role = answer["Role"]
    tags = mapping(role.get("Tags"))
    found = {"path": role["Path"], "trust": role["AssumeRolePolicyDocument"], "tags": tags}
    if "boundary" in spec:
        found["boundary"] = (role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    if "policy" in spec:
        inline = aws.get("iam", "get_role_policy", RoleName=name, PolicyName=POLICY, missing=GONE)
        found["policy"] = inline["PolicyDocument"] if inline else None
    if "attached" in spec:
        policies = aws.all("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name, missing=GONE)
        found["attached"] = [policy["PolicyArn"] for policy in policies]
    return Live(normalise(found), {"arn": role["Arn"], "name": name}, **marks(tags))


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """The tagging API knows no roles; their path does."""
    for role in aws.all("iam", "list_roles", "Roles", PathPrefix=scope.path):
        yield role["RoleName"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """The role, then what it may do.  Killed in between, the missing policy is a difference on the next run."""
    yield Call(
        "iam",
        "create_role",
        {
            "RoleName": name,
            "Path": spec["path"],
            "AssumeRolePolicyDocument": to_json(spec["trust"]),
            "Tags": pairs(spec["tags"]),
            **({"PermissionsBoundary": spec["boundary"]} if spec.get("boundary") else {}),
        },
        ok=("EntityAlreadyExists",),
        retry=(*BUSY, *(GONE if spec.get("boundary") else ())),
        patience=60,
    )
    wanted = {key for key in ("policy", "attached") if spec.get(key)}
    yield from _policies(name, spec, frozenset(wanted), [])
    return {"arn": f"arn:aws:iam::{scope.account}:role{spec['path']}{name}", "name": name}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """One call an aspect that differs; the boundary first, so that nothing is granted without it."""
    if "boundary" in changed:
        yield from _boundary(name, spec)
    if "trust" in changed:
        yield Call(
            "iam", "update_assume_role_policy", {"RoleName": name, "PolicyDocument": to_json(spec["trust"])}, retry=BUSY
        )
    if "tags" in changed:
        yield Call("iam", "tag_role", {"RoleName": name, "Tags": pairs(spec["tags"])}, retry=BUSY)
    yield from _policies(name, spec, changed, live.spec.get("attached", []))
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """IAM refuses to delete a role that still has policies, ours or added by hand."""
    role = {"RoleName": name}
    attached = Call("iam", "list_attached_role_policies", role, ok=GONE)
    yield Sweep(
        attached,
        "detach_role_policy",
        _remover(name, "detach_role_policy", "PolicyArn", _first_attached),
        "detach every policy",
    )
    inline = Call("iam", "list_role_policies", role, ok=GONE)
    yield Sweep(
        inline,
        "delete_role_policy",
        _remover(name, "delete_role_policy", "PolicyName", _first_inline),
        "delete every inline policy",
    )
    yield Call("iam", "delete_role", role, ok=GONE, retry=(*BUSY, "DeleteConflict"))
    return {}


def _boundary(name: str, spec: Mapping[str, Value]) -> Steps:
    if spec.get("boundary"):
        given = {"RoleName": name, "PermissionsBoundary": spec["boundary"]}
        yield Call("iam", "put_role_permissions_boundary", given, retry=NOT_SEEN_YET, patience=60)
    else:
        yield Call("iam", "delete_role_permissions_boundary", {"RoleName": name}, ok=GONE, retry=BUSY)
    return {}


def _policies(name: str, spec: Mapping[str, Value], changed: frozenset[str], attached: list[Any]) -> Steps:
    if "policy" in changed:
        inline = {"RoleName": name, "PolicyName": POLICY}
        if spec.get("policy"):
            body = {**inline, "PolicyDocument": to_json(spec["policy"])}
            yield Call("iam", "put_role_policy", body, retry=NOT_SEEN_YET, patience=60)
        else:
            yield Call("iam", "delete_role_policy", inline, ok=GONE, retry=BUSY)
    if "attached" in changed:
        for arn in spec["attached"]:
            if arn not in attached:
                body = {"RoleName": name, "PolicyArn": arn}
                yield Call("iam", "attach_role_policy", body, retry=NOT_SEEN_YET, patience=60)
        for arn in attached:
            if arn not in spec["attached"]:
                yield Call("iam", "detach_role_policy", {"RoleName": name, "PolicyArn": arn}, ok=GONE, retry=BUSY)
    return {}


def _document(document: Value) -> Value:
    """A policy document with AWS's free choices settled: one or a list of one, and orders that mean nothing."""
    if not isinstance(document, Mapping):
        return document
    statements = document.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    return {**document, "Statement": canonical([_statement(item) for item in listed])}


def _statement(statement: Value) -> Value:
    if not isinstance(statement, Mapping):
        return statement
    settled = {key: _listed(value) if key in SETS else value for key, value in statement.items()}
    if isinstance(principal := statement.get("Principal"), Mapping):
        settled["Principal"] = {kind: _listed(who) for kind, who in principal.items()}
    return settled


def _listed(value: Value) -> Value:
    return canonical(value) if isinstance(value, list) else [value]


def _remover(name: str, operation: str, key: str, first: Callable[[Any], str | None]) -> Callable[[Any], Call | None]:
    def remove(listed: Any) -> Call | None:
        found = first(listed)
        return Call("iam", operation, {"RoleName": name, key: found}, ok=GONE, retry=BUSY) if found else None

    return remove


def _first_attached(listed: Any) -> str | None:
    return next((policy["PolicyArn"] for policy in listed.get("AttachedPolicies") or ()), None)


def _first_inline(listed: Any) -> str | None:
    return next(iter(listed.get("PolicyNames") or ()), None)
