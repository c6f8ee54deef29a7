"""Check desired resources against limits and rules of AWS that concern the whole resource, not one field.  Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.manifest.check import Manifest
from orchestrator.problems import Problem
from orchestrator.values import Value, is_known
from orchestrator.vocabulary import Resource

MAX_TAGS = 50
"""User-created tags of one resource (AWS General Reference, "Tag naming limits and requirements")."""
MAX_BUCKET_POLICY_BYTES = 20 * 1024
"""S3 User Guide, "Bucket policies"."""
PRINCIPAL_TYPES = frozenset({"AWS", "CanonicalUser", "Federated", "Service"})
_STATEMENT_ARN = re.compile(r"arn:aws(?:-[a-z-]+)?:s3:::(?P<bucket>[^/]*)(?:/.*)?", re.DOTALL)


def check_limits(resources: Iterable[Resource], manifest: Manifest) -> Iterator[Problem]:
    """Yield a problem for each resource that AWS would refuse as a whole."""
    for resource in resources:
        tags = resource.spec.get("tags")
        if isinstance(tags, Mapping) and len(tags) > MAX_TAGS:
            message = f"{resource.address} has {len(tags)} tags, including the orchestrator's; AWS allows {MAX_TAGS}"
            yield Problem(message, resource.where, "remove tags from the component or from the Project")
        if resource.type == "s3_bucket_policy":
            yield from _check_bucket_policy(resource, manifest)


def _check_bucket_policy(resource: Resource, manifest: Manifest) -> Iterator[Problem]:
    statements = resource.spec["statements"]
    declared = manifest.declarations[resource.component].value["spec"].get("policy", [])
    generated = {statement.get("Sid") for statement in statements[len(declared) :]} - {None}
    sids: set[str] = set()
    for index, statement in enumerate(statements[: len(declared)]):
        path = ("spec", "policy", index)
        sid = statement.get("Sid")
        if sid and (sid in sids or sid in generated):
            message = f"duplicate Sid `{sid}`: the orchestrator or another statement of the policy has it"
            yield Problem(message, manifest.where(resource.component, (*path, "Sid")), "choose another Sid")
        sids |= {sid} if sid else set()
        for member, message in _find_faults(statement, resource.physical):
            yield Problem(message, manifest.where(resource.component, (*path, member)))
    if is_known(statements) and len(json.dumps(statements)) > MAX_BUCKET_POLICY_BYTES:
        message = (
            f"the policy of {resource.physical} is larger than the S3 limit of {MAX_BUCKET_POLICY_BYTES // 1024} KB"
        )
        yield Problem(message, manifest.where(resource.component, ("spec", "policy")))


def _find_faults(statement: Mapping[str, Any], bucket: str) -> Iterator[tuple[str, str]]:
    """Yield the members of a statement with which S3 answers MalformedPolicy, and why."""
    if isinstance(statement["Principal"], Mapping):
        for name in statement["Principal"].keys() - PRINCIPAL_TYPES:
            yield "Principal", f"`{name}` is not a principal type: use {', '.join(sorted(PRINCIPAL_TYPES))}"
    for action in _as_texts(statement["Action"]):
        if action != "*" and not action.lower().startswith("s3:"):
            yield "Action", f"`{action}` is not an S3 action; a bucket policy can contain only S3 actions"
    for arn in _as_texts(statement["Resource"]):
        match = _STATEMENT_ARN.fullmatch(arn)
        if arn != "*" and match is None:
            yield "Resource", f"`{arn}` is not the ARN of a bucket or its objects: write `arn:aws:s3:::{bucket}/*`"
        elif match is not None and not _may_name(match["bucket"], bucket):
            yield "Resource", f"`{arn}` is in another bucket; S3 requires the resources of a policy to be in {bucket}"


def _may_name(pattern: str, bucket: str) -> bool:
    return pattern == bucket or bool(re.search(r"[*?$]", pattern))


def _as_texts(value: Value) -> list[str]:
    """Return the texts of a value that is one or a list of them, without those that only AWS knows."""
    return [item for item in (value if isinstance(value, list | tuple) else [value]) if isinstance(item, str)]
