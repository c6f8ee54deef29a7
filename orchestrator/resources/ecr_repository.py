"""ECR image repositories.  API: ECR CreateRepository, PutLifecyclePolicy, PutImageScanningConfiguration.

A repository holds the images that a rollback goes back to, so it counts as stateful.  Images are removed with it only
when its mark says that it may be deleted; ECR's ``force`` is never used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws, standing_tags
from orchestrator.steps import Call, Steps, Sweep
from orchestrator.values import Value, to_json
from orchestrator.vocabulary import Live, Scope

IMMUTABLE = frozenset({"encryption"})
STATEFUL = True
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws:ecr:[^:]+:\d+:repository/(?P<name>.+)")

GONE = ("RepositoryNotFoundException",)
NO_LIFECYCLE = ("LifecyclePolicyNotFoundException", *GONE)
DEFAULTS: Mapping[str, Value] = {
    "tag_mutability": "IMMUTABLE",
    "scan_on_push": True,
    "encryption": {"type": "AES256", "key": None},
    "lifecycle": None,
}
A_BATCH = 100
"""Images one BatchDeleteImage takes."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """ECR's defaults, but for tags: ours do not move unless the manifest says so."""
    return {**DEFAULTS, **spec}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing for all repositories, the tags, and the lifecycle policy where it is asked for."""
    repositories = aws.all("ecr", "describe_repositories", "repositories")
    repository = next((each for each in repositories if each["repositoryName"] == name), None)
    if repository is None:
        return None
    arn = repository["repositoryArn"]
    tags = standing_tags(aws, scope, arn, spec.get("tags"), lambda: _tags(aws, arn))
    encryption = repository.get("encryptionConfiguration") or {}
    found = {
        "tag_mutability": repository.get("imageTagMutability", "MUTABLE"),
        "scan_on_push": bool((repository.get("imageScanningConfiguration") or {}).get("scanOnPush", False)),
        "encryption": {"type": encryption.get("encryptionType", "AES256"), "key": encryption.get("kmsKey")},
        "tags": tags,
    }
    if "lifecycle" in spec:
        policy = aws.get("ecr", "get_lifecycle_policy", repositoryName=name, missing=NO_LIFECYCLE)
        found["lifecycle"] = json.loads(policy["lifecyclePolicyText"]) if policy else None
    return Live(found, {"arn": arn, "name": name, "url": repository["repositoryUri"]}, **marks(tags))


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    return mapping(aws.all("ecr", "list_tags_for_resource", "tags", resourceArn=arn, missing=GONE))


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """The repository with its marks, then its lifecycle; a lost lifecycle is a difference on the next run."""
    encryption = {"encryptionType": spec["encryption"]["type"]}
    if spec["encryption"]["key"] is not None:
        encryption["kmsKey"] = spec["encryption"]["key"]
    body = {
        "repositoryName": name,
        "imageTagMutability": spec["tag_mutability"],
        "imageScanningConfiguration": {"scanOnPush": spec["scan_on_push"]},
        "encryptionConfiguration": encryption,
        "tags": pairs(spec["tags"]),
    }
    yield Call("ecr", "create_repository", body, ok=("RepositoryAlreadyExistsException",))
    if spec["lifecycle"] is not None:
        yield _put_lifecycle(name, spec["lifecycle"])
    place = f"{scope.account}.dkr.ecr.{scope.region}.amazonaws.com"
    arn = f"arn:aws:ecr:{scope.region}:{scope.account}:repository/{name}"
    return {"arn": arn, "name": name, "url": f"{place}/{name}"}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """One call an aspect that differs."""
    repository = {"repositoryName": name}
    if "tag_mutability" in changed:
        body = {**repository, "imageTagMutability": spec["tag_mutability"]}
        yield Call("ecr", "put_image_tag_mutability", body)
    if "scan_on_push" in changed:
        body = {**repository, "imageScanningConfiguration": {"scanOnPush": spec["scan_on_push"]}}
        yield Call("ecr", "put_image_scanning_configuration", body)
    if "lifecycle" in changed:
        if spec["lifecycle"] is None:
            yield Call("ecr", "delete_lifecycle_policy", repository, ok=NO_LIFECYCLE)
        else:
            yield _put_lifecycle(name, spec["lifecycle"])
    if "tags" in changed:
        yield Call("ecr", "tag_resource", {"resourceArn": live.outputs["arn"], "tags": pairs(spec["tags"])})
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """An empty repository; or all images first, if the mark on it says ``deletionPolicy: delete``."""
    if live.deletable:
        listing = Call("ecr", "list_images", {"repositoryName": name, "maxResults": A_BATCH}, ok=GONE)
        yield Sweep(listing, "batch_delete_image", lambda answer: _remove_images(name, answer), "delete every image")
    yield Call("ecr", "delete_repository", {"repositoryName": name}, ok=GONE)
    return {}


def _put_lifecycle(name: str, lifecycle: Value) -> Call:
    body = {"repositoryName": name, "lifecyclePolicyText": to_json(lifecycle)}
    return Call("ecr", "put_lifecycle_policy", body, retry=GONE, patience=30)


def _remove_images(name: str, listed: Any) -> Call | None:
    digests = list(dict.fromkeys(image["imageDigest"] for image in listed.get("imageIds") or ()))
    if not digests:
        return None
    body = {"repositoryName": name, "imageIds": [{"imageDigest": digest} for digest in digests]}
    return Call("ecr", "batch_delete_image", body, ok=GONE)
