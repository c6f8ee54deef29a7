"""Manage IAM managed policies. API: IAM CreatePolicy, CreatePolicyVersion, DeletePolicyVersion, DeletePolicy,
TagPolicy.

They live under the environment's path, so that one listing finds all of the environment's policies.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader
from orchestrator.resources._existing import confirm_existing
from orchestrator.steps import ApiCall, Steps, Sweep
from orchestrator.values import Value, sort_canonically, to_json
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE = frozenset({"path", "description"})
STATEFUL = False
USES = frozenset({"iam_role"})
ARN: re.Pattern[str] | None = None

NOT_FOUND_CODES = ("NoSuchEntity",)
BUSY_CODES = ("ConcurrentModification",)
MAX_VERSIONS = 5
"""Maximum number of versions that AWS keeps of a policy."""
UNORDERED_MEMBERS = ("Action", "NotAction", "Resource", "NotResource")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with the policy document in canonical form."""
    document = spec.get("document")
    if not isinstance(document, Mapping):
        return spec
    statements = document.get("Statement", [])
    statement_list = statements if isinstance(statements, list) else [statements]
    return {
        **spec,
        "document": {
            **document,
            "Statement": sort_canonically([_normalise_statement(statement) for statement in statement_list]),
        },
    }


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the policy with its tags, and its default version's document if the spec asks for it, or None."""
    arn = f"arn:aws:iam::{scope.account}:policy{spec.get('path', scope.iam_path)}{name}"
    response = aws.get("iam", "get_policy", PolicyArn=arn, missing=NOT_FOUND_CODES)
    if response is None:
        return None
    policy = response["Policy"]
    tags = from_aws_tags(policy.get("Tags"))
    live_spec: dict[str, Value] = {"path": policy["Path"], "description": policy.get("Description", ""), "tags": tags}
    if "document" in spec:
        version = policy["DefaultVersionId"]
        version = aws.get("iam", "get_policy_version", PolicyArn=arn, VersionId=version, missing=NOT_FOUND_CODES)
        live_spec["document"] = version["PolicyVersion"]["Document"] if version else None
    return LiveResource(normalise(live_spec), {"arn": arn}, **parse_ownership(tags))


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the environment's policies by path; the tagging API does not list them.

    Manifests declare no policies, so only the GitHub bootstrap scope is searched.
    """
    if not scope.is_github_scope:
        return
    for policy in aws.all("iam", "list_policies", "Policies", Scope="Local", PathPrefix=scope.iam_path):
        yield policy["PolicyName"]


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the policy with its tags in one call."""
    yield ApiCall(
        "iam",
        "create_policy",
        {
            "PolicyName": name,
            "Path": spec["path"],
            "Description": spec["description"],
            "PolicyDocument": to_json(spec["document"]),
            "Tags": to_aws_tags(spec["tags"]),
        },
        retry_codes=BUSY_CODES,
        exists_codes=("EntityAlreadyExists",),
        read_existing=confirm_existing(read, scope, name, spec, compared=True),
    )
    return {"arn": f"arn:aws:iam::{scope.account}:policy{spec['path']}{name}"}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Create a new version of the document, after deleting the oldest if AWS's limit is reached, and update tags."""
    arn = str(live.outputs["arn"])
    if "document" in changed:
        listing = ApiCall("iam", "list_policy_versions", {"PolicyArn": arn})
        remover = _build_version_remover(arn, MAX_VERSIONS - 1)
        yield Sweep(listing, "delete_policy_version", remover, f"keep the newest {MAX_VERSIONS - 1} versions")
        request = {"PolicyArn": arn, "PolicyDocument": to_json(spec["document"]), "SetAsDefault": True}
        yield ApiCall("iam", "create_policy_version", request, retry_codes=BUSY_CODES)
    if "tags" in changed:
        yield ApiCall(
            "iam", "tag_policy", {"PolicyArn": arn, "Tags": to_aws_tags(spec["tags"])}, retry_codes=BUSY_CODES
        )
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the policy. IAM refuses while it has versions besides the default, so these are deleted first."""
    arn = str(live.outputs["arn"])
    listing = ApiCall("iam", "list_policy_versions", {"PolicyArn": arn}, ok_codes=NOT_FOUND_CODES)
    yield Sweep(
        listing, "delete_policy_version", _build_version_remover(arn, 1), "delete every version but the default"
    )
    yield ApiCall(
        "iam",
        "delete_policy",
        {"PolicyArn": arn},
        ok_codes=NOT_FOUND_CODES,
        retry_codes=(*BUSY_CODES, "DeleteConflict"),
    )
    return {}


def _build_version_remover(arn: str, max_versions: int) -> Callable[[Any], ApiCall | None]:
    """Return a function that deletes the oldest non-default version while there are more than ``max_versions``."""

    def remove(response: Any) -> ApiCall | None:
        versions = response.get("Versions") or []
        deletable = [version for version in versions if not version["IsDefaultVersion"]]
        if len(versions) <= max_versions or not deletable:
            return None
        oldest = min(deletable, key=lambda version: int(version["VersionId"].removeprefix("v")))
        request = {"PolicyArn": arn, "VersionId": oldest["VersionId"]}
        return ApiCall("iam", "delete_policy_version", request, ok_codes=NOT_FOUND_CODES, retry_codes=BUSY_CODES)

    return remove


def _normalise_statement(statement: Value) -> Value:
    if not isinstance(statement, Mapping):
        return statement
    return {key: _to_sorted_list(value) if key in UNORDERED_MEMBERS else value for key, value in statement.items()}


def _to_sorted_list(value: Value) -> Value:
    return sort_canonically(value) if isinstance(value, list) else [value]
