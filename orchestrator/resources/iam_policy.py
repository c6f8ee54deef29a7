"""Managed policies.  API: IAM CreatePolicy, CreatePolicyVersion, DeletePolicyVersion, DeletePolicy, TagPolicy.

They live under the environment's path, so that one listing finds all of ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws
from orchestrator.steps import Call, Steps, Sweep
from orchestrator.values import Value, canonical, to_json
from orchestrator.vocabulary import Live, Scope

IMMUTABLE = frozenset({"path", "description"})
STATEFUL = False
USES = frozenset({"iam_role"})
ARN: re.Pattern[str] | None = None

GONE = ("NoSuchEntity",)
BUSY = ("ConcurrentModification",)
VERSIONS = 5
"""How many versions of a policy AWS keeps."""
SETS = ("Action", "NotAction", "Resource", "NotResource")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Documents are compared by what they mean."""
    document = spec.get("document")
    if not isinstance(document, Mapping):
        return spec
    statements = document.get("Statement", [])
    listed = statements if isinstance(statements, list) else [statements]
    return {**spec, "document": {**document, "Statement": canonical([_statement(each) for each in listed])}}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """GetPolicy gives path, tags and the default version, whose document is a second read."""
    arn = f"arn:aws:iam::{scope.account}:policy{spec.get('path', scope.path)}{name}"
    answer = aws.get("iam", "get_policy", PolicyArn=arn, missing=GONE)
    if answer is None:
        return None
    policy = answer["Policy"]
    tags = mapping(policy.get("Tags"))
    found: dict[str, Value] = {"path": policy["Path"], "description": policy.get("Description", ""), "tags": tags}
    if "document" in spec:
        version = policy["DefaultVersionId"]
        version = aws.get("iam", "get_policy_version", PolicyArn=arn, VersionId=version, missing=GONE)
        found["document"] = version["PolicyVersion"]["Document"] if version else None
    return Live(normalise(found), {"arn": arn}, **marks(tags))


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """The tagging API knows no policies; their path does.  Manifests lead to none: only a gate is searched."""
    if not scope.is_gate:
        return
    for policy in aws.all("iam", "list_policies", "Policies", Scope="Local", PathPrefix=scope.path):
        yield policy["PolicyName"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """One call, with its marks."""
    yield Call(
        "iam",
        "create_policy",
        {
            "PolicyName": name,
            "Path": spec["path"],
            "Description": spec["description"],
            "PolicyDocument": to_json(spec["document"]),
            "Tags": pairs(spec["tags"]),
        },
        ok=("EntityAlreadyExists",),
        retry=BUSY,
    )
    return {"arn": f"arn:aws:iam::{scope.account}:policy{spec['path']}{name}"}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """A new version takes the place of the oldest where AWS keeps no more."""
    arn = str(live.outputs["arn"])
    if "document" in changed:
        listing = Call("iam", "list_policy_versions", {"PolicyArn": arn})
        remover = _remover(arn, VERSIONS - 1)
        yield Sweep(listing, "delete_policy_version", remover, f"keep the newest {VERSIONS - 1} versions")
        given = {"PolicyArn": arn, "PolicyDocument": to_json(spec["document"]), "SetAsDefault": True}
        yield Call("iam", "create_policy_version", given, retry=BUSY)
    if "tags" in changed:
        yield Call("iam", "tag_policy", {"PolicyArn": arn, "Tags": pairs(spec["tags"])}, retry=BUSY)
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """IAM refuses to delete a policy that has other versions than its default."""
    arn = str(live.outputs["arn"])
    listing = Call("iam", "list_policy_versions", {"PolicyArn": arn}, ok=GONE)
    yield Sweep(listing, "delete_policy_version", _remover(arn, 1), "delete every version but the default")
    yield Call("iam", "delete_policy", {"PolicyArn": arn}, ok=GONE, retry=(*BUSY, "DeleteConflict"))
    return {}


def _remover(arn: str, keep: int) -> Callable[[Any], Call | None]:
    """Deletes the oldest version that is not the default, while there are more than ``keep``."""

    def remove(listed: Any) -> Call | None:
        versions = listed.get("Versions") or []
        old = [version for version in versions if not version["IsDefaultVersion"]]
        if len(versions) <= keep or not old:
            return None
        oldest = min(old, key=lambda version: int(version["VersionId"].removeprefix("v")))
        given = {"PolicyArn": arn, "VersionId": oldest["VersionId"]}
        return Call("iam", "delete_policy_version", given, ok=GONE, retry=BUSY)

    return remove


def _statement(statement: Value) -> Value:
    if not isinstance(statement, Mapping):
        return statement
    return {key: _listed(value) if key in SETS else value for key, value in statement.items()}


def _listed(value: Value) -> Value:
    return canonical(value) if isinstance(value, list) else [value]
