"""Manage ECR image repositories. API: ECR CreateRepository, PutLifecyclePolicy, PutImageScanningConfiguration.

A repository holds the images needed for a rollback, so it counts as stateful. Its images are deleted with it only if
its tag allows deletion; ECR's ``force`` is never used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader, read_tags
from orchestrator.resources._existing import confirm_existing
from orchestrator.resources._watched import Watch, Watched
from orchestrator.steps import ApiCall, Steps, Sweep
from orchestrator.values import Value, to_json
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE = frozenset({"encryption"})
STATEFUL = True
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws:ecr:[^:]+:\d+:repository/(?P<name>.+)")

NOT_FOUND_CODES = ("RepositoryNotFoundException",)
NO_LIFECYCLE_CODES = ("LifecyclePolicyNotFoundException", *NOT_FOUND_CODES)
REPOSITORY_POLICY = Watched(
    "policyText", "It can allow others to pull or push images; to remove it, run `aws ecr delete-repository-policy`"
)
WATCHED = {
    "mutable_tags": Watched(
        "imageTagMutabilityExclusionFilters[].filter",
        "Images with these tags can be overwritten; to prevent that, run `aws ecr put-image-tag-mutability`",
    )
}
DEFAULTS: Mapping[str, Value] = {
    "tag_mutability": "IMMUTABLE",
    "scan_on_push": True,
    "encryption": {"type": "AES256", "key": None},
    "lifecycle": None,
}
MAX_IMAGES_PER_DELETE = 100
"""Maximum number of images per BatchDeleteImage."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with ECR's defaults, except that tags are immutable by default."""
    return {**DEFAULTS, **spec}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the repository with its tags, and its lifecycle policy if the spec asks for it, or None."""
    repositories = aws.all("ecr", "describe_repositories", "repositories")
    repository = next((item for item in repositories if item["repositoryName"] == name), None)
    if repository is None:
        return None
    arn = repository["repositoryArn"]
    tags = read_tags(aws, scope, arn, spec.get("tags"), lambda: _fetch_tags(aws, arn))
    encryption = repository.get("encryptionConfiguration") or {}
    live_spec = {
        "tag_mutability": repository.get("imageTagMutability", "MUTABLE"),
        "scan_on_push": bool((repository.get("imageScanningConfiguration") or {}).get("scanOnPush", False)),
        "encryption": {"type": encryption.get("encryptionType", "AES256"), "key": encryption.get("kmsKey")},
        "tags": tags,
    }
    if "lifecycle" in spec:
        policy = aws.get("ecr", "get_lifecycle_policy", repositoryName=name, missing=NO_LIFECYCLE_CODES)
        live_spec["lifecycle"] = json.loads(policy["lifecyclePolicyText"]) if policy else None
    watch = Watch(aws)
    if spec:
        watch.add(WATCHED, repository)
        missing = ("RepositoryPolicyNotFoundException", *NOT_FOUND_CODES)
        operation = "get_repository_policy"
        watch.read("repository_policy", REPOSITORY_POLICY, "ecr", operation, missing=missing, repositoryName=name)
    outputs = {"arn": arn, "name": name, "url": repository["repositoryUri"]}
    return LiveResource(live_spec, outputs, **watch.fields, **parse_ownership(tags))


def _fetch_tags(aws: AwsReader, arn: str) -> dict[str, str]:
    return from_aws_tags(aws.all("ecr", "list_tags_for_resource", "tags", resourceArn=arn, missing=NOT_FOUND_CODES))


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the repository with its tags, then its lifecycle policy.

    A policy that is lost on the way shows as a difference on the next run.
    """
    encryption = {"encryptionType": spec["encryption"]["type"]}
    if spec["encryption"]["key"] is not None:
        encryption["kmsKey"] = spec["encryption"]["key"]
    request = {
        "repositoryName": name,
        "imageTagMutability": spec["tag_mutability"],
        "imageScanningConfiguration": {"scanOnPush": spec["scan_on_push"]},
        "encryptionConfiguration": encryption,
        "tags": to_aws_tags(spec["tags"]),
    }
    created_spec = {field: value for field, value in spec.items() if field != "lifecycle"}
    yield ApiCall(
        "ecr",
        "create_repository",
        request,
        exists_codes=("RepositoryAlreadyExistsException",),
        read_existing=confirm_existing(read, scope, name, created_spec, compared=True),
    )
    if spec["lifecycle"] is not None:
        yield _put_lifecycle_call(name, spec["lifecycle"])
    registry_host = f"{scope.account}.dkr.ecr.{scope.region}.amazonaws.com"
    arn = f"arn:aws:ecr:{scope.region}:{scope.account}:repository/{name}"
    return {"arn": arn, "name": name, "url": f"{registry_host}/{name}"}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Update each changed setting with one call."""
    repository = {"repositoryName": name}
    if "tag_mutability" in changed:
        request = {**repository, "imageTagMutability": spec["tag_mutability"]}
        yield ApiCall("ecr", "put_image_tag_mutability", request)
    if "scan_on_push" in changed:
        request = {**repository, "imageScanningConfiguration": {"scanOnPush": spec["scan_on_push"]}}
        yield ApiCall("ecr", "put_image_scanning_configuration", request)
    if "lifecycle" in changed:
        if spec["lifecycle"] is None:
            yield ApiCall("ecr", "delete_lifecycle_policy", repository, ok_codes=NO_LIFECYCLE_CODES)
        else:
            yield _put_lifecycle_call(name, spec["lifecycle"])
    if "tags" in changed:
        yield ApiCall("ecr", "tag_resource", {"resourceArn": live.outputs["arn"], "tags": to_aws_tags(spec["tags"])})
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the repository, and first its images if its tag says ``deletionPolicy: delete``."""
    if live.deletable:
        listing = ApiCall(
            "ecr",
            "list_images",
            {"repositoryName": name, "maxResults": MAX_IMAGES_PER_DELETE},
            ok_codes=NOT_FOUND_CODES,
        )
        yield Sweep(
            listing, "batch_delete_image", lambda response: _delete_images_call(name, response), "delete every image"
        )
    yield ApiCall("ecr", "delete_repository", {"repositoryName": name}, ok_codes=NOT_FOUND_CODES)
    return {}


def _put_lifecycle_call(name: str, lifecycle: Value) -> ApiCall:
    request = {"repositoryName": name, "lifecyclePolicyText": to_json(lifecycle)}
    return ApiCall("ecr", "put_lifecycle_policy", request, retry_codes=NOT_FOUND_CODES, timeout_seconds=30)


def _delete_images_call(name: str, response: Any) -> ApiCall | None:
    digests = list(dict.fromkeys(image["imageDigest"] for image in response.get("imageIds") or ()))
    if not digests:
        return None
    request = {"repositoryName": name, "imageIds": [{"imageDigest": digest} for digest in digests]}
    return ApiCall("ecr", "batch_delete_image", request, ok_codes=NOT_FOUND_CODES)
