"""Manage IAM roles with one inline policy.

API: IAM CreateRole, UpdateRole, PutRolePolicy, AttachRolePolicy, TagRole, PutRolePermissionsBoundary.

Roles live under the environment's path, so that one listing finds all of the environment's roles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader
from orchestrator.resources._existing import confirm_existing
from orchestrator.resources._watched import Watch, Watched
from orchestrator.steps import ApiCall, Steps, Sweep
from orchestrator.values import Value, sort_canonically, to_json
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE = frozenset({"path"})
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

INLINE_POLICY_NAME = "orchestrator"
NOT_FOUND_CODES = ("NoSuchEntity",)
BUSY_CODES = ("ConcurrentModification",)
DEFAULT_SESSION_SECONDS = 3600
WATCHED_ROLE = {
    "boundary": Watched(
        "PermissionsBoundary.PermissionsBoundaryArn",
        "It is left unchanged. Remove it with `aws iam delete-role-permissions-boundary`, or set "
        "`permissionsBoundary: true` in the Project",
    ),
    "max_session_seconds": Watched(
        "MaxSessionDuration", "Change it back with `aws iam update-role`", (DEFAULT_SESSION_SECONDS,)
    ),
    "description": Watched("Description", "Remove it with `aws iam update-role --description ''`"),
}
INLINE_REMEDY = "They grant more than declared; to remove them, run `aws iam delete-role-policy`"
FURTHER_INLINE_POLICIES = Watched(f"PolicyNames[?@ != '{INLINE_POLICY_NAME}']", INLINE_REMEDY)
ALL_INLINE_POLICIES = Watched("PolicyNames", INLINE_REMEDY)
UNORDERED_MEMBERS = ("Action", "NotAction", "Resource", "NotResource")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with attached policies sorted and policy documents in canonical form."""
    documents = {key: _normalise_document(spec[key]) for key in ("trust", "policy") if key in spec}
    return {**spec, **documents, "attached": sort_canonically(spec.get("attached", []))}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the role with its trust policy and tags, and the policies that the spec asks for, or None."""
    response = aws.get("iam", "get_role", RoleName=name, missing=NOT_FOUND_CODES)
    if response is None:
        return None
    role = response["Role"]
    tags = from_aws_tags(role.get("Tags"))
    live_spec = {"path": role["Path"], "trust": role["AssumeRolePolicyDocument"], "tags": tags}
    if "boundary" in spec:
        live_spec["boundary"] = (role.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn")
    if "max_session_seconds" in spec:
        live_spec["max_session_seconds"] = role.get("MaxSessionDuration", DEFAULT_SESSION_SECONDS)
    watch = Watch(aws)
    if spec:
        watch.add(WATCHED_ROLE, role, spec)
        parameters = {"RoleName": name, "MaxItems": 1000}
        watched = FURTHER_INLINE_POLICIES if "policy" in spec else ALL_INLINE_POLICIES
        watch.read("inline_policies", watched, "iam", "list_role_policies", missing=NOT_FOUND_CODES, **parameters)
    if "policy" in spec:
        inline = aws.get(
            "iam", "get_role_policy", RoleName=name, PolicyName=INLINE_POLICY_NAME, missing=NOT_FOUND_CODES
        )
        live_spec["policy"] = inline["PolicyDocument"] if inline else None
    if "attached" in spec:
        policies = aws.all(
            "iam", "list_attached_role_policies", "AttachedPolicies", RoleName=name, missing=NOT_FOUND_CODES
        )
        live_spec["attached"] = [policy["PolicyArn"] for policy in policies]
    return LiveResource(
        normalise(live_spec), {"arn": role["Arn"], "name": name}, **watch.fields, **parse_ownership(tags)
    )


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the environment's roles by path; the tagging API does not list them."""
    for role in aws.all("iam", "list_roles", "Roles", PathPrefix=scope.iam_path):
        yield role["RoleName"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the role, then its policies. If a run is killed in between, the next plan shows the missing policy."""
    created_spec = {key: spec[key] for key in ("path", "trust", "tags", "boundary") if key in spec}
    yield ApiCall(
        "iam",
        "create_role",
        {
            "RoleName": name,
            "Path": spec["path"],
            "AssumeRolePolicyDocument": to_json(spec["trust"]),
            "Tags": to_aws_tags(spec["tags"]),
            **({"PermissionsBoundary": spec["boundary"]} if spec.get("boundary") else {}),
            **({"MaxSessionDuration": spec["max_session_seconds"]} if "max_session_seconds" in spec else {}),
        },
        retry_codes=BUSY_CODES,
        exists_codes=("EntityAlreadyExists",),
        read_existing=confirm_existing(read, scope, name, created_spec, compared=True),
    )
    declared_fields = {key for key in ("policy", "attached") if spec.get(key)}
    yield from _update_policies(name, spec, frozenset(declared_fields), [])
    return {"arn": f"arn:aws:iam::{scope.account}:role{spec['path']}{name}", "name": name}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Update each changed setting with one call; the boundary first, so that nothing is granted without it."""
    if "boundary" in changed:
        yield from _update_boundary(name, spec)
    if "trust" in changed:
        yield ApiCall(
            "iam",
            "update_assume_role_policy",
            {"RoleName": name, "PolicyDocument": to_json(spec["trust"])},
            retry_codes=BUSY_CODES,
        )
    if "max_session_seconds" in changed:
        request = {"RoleName": name, "MaxSessionDuration": spec["max_session_seconds"]}
        yield ApiCall("iam", "update_role", request, retry_codes=BUSY_CODES)
    if "tags" in changed:
        yield ApiCall("iam", "tag_role", {"RoleName": name, "Tags": to_aws_tags(spec["tags"])}, retry_codes=BUSY_CODES)
    yield from _update_policies(name, spec, changed, live.spec.get("attached", []))
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the role. IAM refuses while it has policies, so all are removed first, including manually added ones."""
    role = {"RoleName": name}
    attached = ApiCall("iam", "list_attached_role_policies", role, ok_codes=NOT_FOUND_CODES)
    yield Sweep(
        attached,
        "detach_role_policy",
        _build_remover(name, "detach_role_policy", "PolicyArn", _first_attached_arn),
        "detach every policy",
    )
    inline = ApiCall("iam", "list_role_policies", role, ok_codes=NOT_FOUND_CODES)
    yield Sweep(
        inline,
        "delete_role_policy",
        _build_remover(name, "delete_role_policy", "PolicyName", _first_inline_name),
        "delete every inline policy",
    )
    yield ApiCall("iam", "delete_role", role, ok_codes=NOT_FOUND_CODES, retry_codes=(*BUSY_CODES, "DeleteConflict"))
    return {}


def _update_boundary(name: str, spec: Mapping[str, Value]) -> Steps:
    if spec.get("boundary"):
        request = {"RoleName": name, "PermissionsBoundary": spec["boundary"]}
        yield ApiCall("iam", "put_role_permissions_boundary", request, retry_codes=BUSY_CODES)
    else:
        yield ApiCall(
            "iam",
            "delete_role_permissions_boundary",
            {"RoleName": name},
            ok_codes=NOT_FOUND_CODES,
            retry_codes=BUSY_CODES,
        )
    return {}


def _update_policies(name: str, spec: Mapping[str, Value], changed: frozenset[str], attached: list[Any]) -> Steps:
    if "policy" in changed:
        inline = {"RoleName": name, "PolicyName": INLINE_POLICY_NAME}
        if spec.get("policy"):
            request = {**inline, "PolicyDocument": to_json(spec["policy"])}
            yield ApiCall("iam", "put_role_policy", request, retry_codes=BUSY_CODES)
        else:
            yield ApiCall("iam", "delete_role_policy", inline, ok_codes=NOT_FOUND_CODES, retry_codes=BUSY_CODES)
    if "attached" in changed:
        for arn in spec["attached"]:
            if arn not in attached:
                request = {"RoleName": name, "PolicyArn": arn}
                yield ApiCall("iam", "attach_role_policy", request, retry_codes=BUSY_CODES)
        for arn in attached:
            if arn not in spec["attached"]:
                yield ApiCall(
                    "iam",
                    "detach_role_policy",
                    {"RoleName": name, "PolicyArn": arn},
                    ok_codes=NOT_FOUND_CODES,
                    retry_codes=BUSY_CODES,
                )
    return {}


def _normalise_document(document: Value) -> Value:
    """Return a policy document in canonical form: single values as lists, unordered lists sorted."""
    if not isinstance(document, Mapping):
        return document
    statements = document.get("Statement", [])
    statement_list = statements if isinstance(statements, list) else [statements]
    return {
        **document,
        "Statement": sort_canonically([_normalise_statement(statement) for statement in statement_list]),
    }


def _normalise_statement(statement: Value) -> Value:
    if not isinstance(statement, Mapping):
        return statement
    normalised = {
        key: _to_sorted_list(value) if key in UNORDERED_MEMBERS else value for key, value in statement.items()
    }
    if isinstance(principal := statement.get("Principal"), Mapping):
        normalised["Principal"] = {
            principal_type: _to_sorted_list(principals) for principal_type, principals in principal.items()
        }
    return normalised


def _to_sorted_list(value: Value) -> Value:
    return sort_canonically(value) if isinstance(value, list) else [value]


def _build_remover(
    name: str, operation: str, member: str, find_first: Callable[[Any], str | None]
) -> Callable[[Any], ApiCall | None]:
    def remove(response: Any) -> ApiCall | None:
        first = find_first(response)
        return (
            ApiCall(
                "iam",
                operation,
                {"RoleName": name, member: first},
                ok_codes=NOT_FOUND_CODES,
                retry_codes=BUSY_CODES,
            )
            if first
            else None
        )

    return remove


def _first_attached_arn(response: Any) -> str | None:
    return next((policy["PolicyArn"] for policy in response.get("AttachedPolicies") or ()), None)


def _first_inline_name(response: Any) -> str | None:
    return next(iter(response.get("PolicyNames") or ()), None)
